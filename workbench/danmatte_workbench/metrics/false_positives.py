"""False positives: what is painted where there is nobody."""

from collections.abc import Sequence

import numpy as np

from danmatte_workbench.metrics.base import Metric, Score


class FalsePositives(Metric):
    """Mean share of an empty picture that is painted, in percent."""

    kind = "false_positives"
    heading = "false positives, %"
    unit = "%"
    ideal = 0.0

    def counts(self, score: Score) -> bool:
        return score.truth == 0 and score.counted > 0

    def compute(self, scores: Sequence[Score]) -> float:
        return 100 * float(np.mean([score.painted / score.counted for score in scores]))
