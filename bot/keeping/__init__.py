"""Backups of the data folder: making them beside a bot that runs, bringing them back, and what a start looks at.

Everything here works on files and has a process, or the time before a start, for itself. What a picture shows and whom
a job belongs to is none of its business.
"""
