"""The next starter set, beside today's until it takes its place: 128 px, a wider world, several things in one picture.

Nothing of the product reads it. `python -m starter.next` trains it into build/starter/next, and measures it there.
"""
