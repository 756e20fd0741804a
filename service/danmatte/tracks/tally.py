"""Counts of a track's frames, kept while it is made."""

from dataclasses import dataclass


@dataclass
class Tally:
    """Counts of the frames so far, including those of an interrupted run.

    `masks` is the number of masks written, `held` and `cuts` how many of them are held or begin a scene. `inferred`
    counts frames that the network ran on, including frames repeated after an interruption; on `looked_closer` of them
    it ran twice. `last_ms` is the last mask's time.
    """

    masks: int = 0
    held: int = 0
    cuts: int = 0
    inferred: int = 0
    looked_closer: int = 0
    last_ms: int = 0
