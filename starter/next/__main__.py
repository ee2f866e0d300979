"""`python -m starter.next [STAGE ...]`: train the next starter set, all stages in order or only those named.

Stopped at any time, the same command goes on from the checkpoints in build/starter/next; its models lie beside them.
"""

from __future__ import annotations

from starter.next.stages import NEXT_BUILD, NEXT_MODELS, STAGES
from starter.train.command import train_from_words

if __name__ == "__main__":
    train_from_words("starter.next", __doc__, STAGES, NEXT_BUILD, NEXT_MODELS)
