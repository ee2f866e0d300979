"""How good a model's pictures are, in figures: `python -m inference evaluate`."""
