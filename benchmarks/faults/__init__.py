"""Proves that what a member was told is kept: breaks everything, seeded, at every stage, and counts what was lost.

`victim` runs the real bot so that it kills itself where it was told to; `painter` is a fast engine that dies and hangs
on demand; `trial` puts a sandbox around both, `crowd` is its members, `judge` counts. Each scenario is a module of
`scenarios`. Nothing in the product knows of any of this.
"""
