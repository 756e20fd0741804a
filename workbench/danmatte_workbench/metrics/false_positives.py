"""False positives: painted pixels in pictures without people."""

from danmatte_workbench.metrics.base import Metric, Score


class FalsePositives(Metric):
    """Mean share of an empty picture that is painted, in percent."""

    kind = "false_positives"
    heading = "false positives, %"
    unit = "%"
    ideal = 0.0

    def counts(self, score: Score) -> bool:
        return score.truth == 0 and score.counted > 0

    def weigh(self, score: Score) -> tuple[float, float]:
        return 100 * score.painted / score.counted, 1.0
