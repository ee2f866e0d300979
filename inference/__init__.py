"""The GPU half of Easel."""
