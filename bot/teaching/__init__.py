"""Trainings as members meet them: their captions written, their cards with pictures, their messages kept up to date.

What a training is and how it goes on is `training`'s affair.
"""
