"""Mean IoU by the share of the picture that people cover.

Candidates lose tiny people first, and a mean over all pictures hides that.
"""

from typing import ClassVar

from danmatte_workbench.metrics.base import Metric, Score


class TinyPeopleIoU(Metric):
    """Mean IoU of pictures in which people cover less than 2 %."""

    kind = "iou_under_2"
    heading = "IoU, people under 2 %"
    of_candidates = True
    shares: ClassVar[tuple[float, float]] = (0.0, 0.02)

    def counts(self, score: Score) -> bool:
        low, high = self.shares
        return score.truth > 0 and low <= score.truth / score.counted < high

    def weigh(self, score: Score) -> tuple[float, float]:
        return score.iou, 1.0


class SmallPeopleIoU(TinyPeopleIoU):
    """Mean IoU of pictures in which people cover 2 to 15 %."""

    kind = "iou_2_to_15"
    heading = "IoU, people 2–15 %"
    shares = (0.02, 0.15)


class LargePeopleIoU(TinyPeopleIoU):
    """Mean IoU of pictures in which people cover 15 % or more."""

    kind = "iou_over_15"
    heading = "IoU, people over 15 %"
    shares = (0.15, float("inf"))
