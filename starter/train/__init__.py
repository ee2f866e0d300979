"""Training of the starter models: one module a stage, and `loop` that drives them. `python -m starter.train`."""
