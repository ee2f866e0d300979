"""models.toml and the weights that it names: read, checked, found and fetched. Nothing here imports torch."""
