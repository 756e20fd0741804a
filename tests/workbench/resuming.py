"""A short run of ``workbench optimize``, to be killed; light enough for its children to import."""

import sys

from danmatte_workbench import cli
from danmatte_workbench.commands import optimize
from danmatte_workbench.configuration import configure
from danmatte_workbench.experiment.search import Effort, Plan

LATENCY = configure(precision="f32", streams=1, threads=1, infer_requests=1)
THROUGHPUT = configure(hint="throughput", precision="f32", streams=1, threads=1, infer_requests=2)
SHORT = Effort(
    "quick",
    (Plan("int8", THROUGHPUT), Plan("float", LATENCY), Plan("float", THROUGHPUT), Plan("no-such-recipe", LATENCY)),
    calibration=3,
    frames=9,
    rounds=4,
    round_s=0.02,
    heat=2,
    finalists=2,
)


def conduct(words: list[str]) -> int:
    """``workbench optimize`` with these words, at a short effort."""
    return optimize.conduct(cli.parser().parse_args(["optimize", *words]), SHORT)


if __name__ == "__main__":
    sys.exit(conduct(sys.argv[1:]))
