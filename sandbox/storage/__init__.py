"""What is kept: records and uploaded files, and the ids of everything."""
