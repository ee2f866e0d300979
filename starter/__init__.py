"""Easel's starter models: a small painted world, and the small models that paint and judge it."""
