"""What became of a track's frames, counted as it is made."""

from dataclasses import dataclass


@dataclass
class Tally:
    """What became of the frames so far, those of an interrupted run included.

    `masks` were written, `held` and `cuts` are among them. `inferred` were shown to the network, some of them again
    after an interruption, `looked_closer` of them twice. `last_ms` is the last mask's time.
    """

    masks: int = 0
    held: int = 0
    cuts: int = 0
    inferred: int = 0
    looked_closer: int = 0
    last_ms: int = 0
