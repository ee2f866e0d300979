"""The Discord half of Easel."""
