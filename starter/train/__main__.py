"""`python -m starter.train [STAGE ...]`: train the starter models, all stages in order or only those named.

Stopped at any time, the same command goes on from the checkpoints in build/starter.
"""

from __future__ import annotations

from starter.judge import MODELS
from starter.train.command import train_from_words
from starter.train.loop import BUILD
from starter.train.stages import STAGES

if __name__ == "__main__":
    train_from_words("starter.train", __doc__, STAGES, BUILD, MODELS)
