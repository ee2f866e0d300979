"""Who and what there is on this Discord: servers, people and channels, who may see them, and who may do what where."""
