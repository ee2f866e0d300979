"""Trainings of LoRAs: what members prepare, what is kept of it, and the process that does it.

`states` says what one is, `store` has all of them, `folders` their files. What came of one becomes a LoRA elsewhere.
"""
