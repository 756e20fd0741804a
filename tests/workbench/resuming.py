"""A short run of ``workbench optimize`` that tests kill; without heavy imports, for its child processes."""

import sys
from dataclasses import replace

from danmatte_workbench import cli
from danmatte_workbench.commands import optimize
from danmatte_workbench.configuration import configure
from danmatte_workbench.experiment.search import Effort
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.recipe import find_recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import make_step

LATENCY = configure(precision="f32", streams=1, threads=1, infer_requests=1)
THROUGHPUT = configure(hint="throughput", precision="f32", streams=1, threads=1, infer_requests=2)
SHORT = Effort("quick", calibration=3, frames=9, rounds=4, round_s=0.02, first_rounds=2, finalists=2)


def propose(source: Source) -> tuple[Trial, ...]:
    """Return trials of two recipes, one of them in two configurations, and of one that can't be applied."""
    whole, quantized = (find_recipe(name, source) for name in ("float", "int8"))
    broken = replace(whole, name="broken", steps=(make_step("cut", {"output": "nowhere"}, source),))
    pairs = ((quantized, THROUGHPUT), (whole, LATENCY), (whole, THROUGHPUT), (broken, LATENCY))
    return tuple(Trial.propose(recipe, configuration, source.size) for recipe, configuration in pairs)


def conduct(words: list[str]) -> int:
    """Run ``workbench optimize`` with these arguments at a short effort; return the exit code."""
    arguments = cli.make_parser().parse_args(["optimize", *words])
    experiment, limits = optimize.prepare(arguments, SHORT)
    return optimize.conduct(arguments, replace(experiment, trials=propose(experiment.source)), limits)


if __name__ == "__main__":
    sys.exit(conduct(sys.argv[1:]))
