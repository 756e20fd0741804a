"""How long a run will take, told before it starts, and which plans it can afford."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from danmatte.contract.measurement import Host
from danmatte_workbench.experiment.progress import about
from danmatte_workbench.experiment.result_cache import Results
from danmatte_workbench.experiment.search import Effort, Plan
from danmatte_workbench.recipe import Recipe

DURATIONS = "durations"
START_S = 4.0  # a process with its libraries
STOCK_START_S = 9.0  # the same with TensorFlow
FRAME_S = 0.02  # to decode, to frame, and to score the mask
COMPILE_S = 2.0
LOOK_S = {"layers": 10.0, "masks": 15.0}
WINNERS, OTHERS, AGAIN = 0.5, 0.25, 0.25  # of the sweep's seconds: the winner's, each other look's, a last race's
SHARES = (("uncut", 0.6), ("int8", 0.25), ("", 0.5))  # of the source's time, by what the recipe's name begins with
# Before anything of the kind was timed: seconds, and inferences of the source for each frame that the step looks at.
STEPS = {"quantize": (8.0, 0.8), "prune": (25.0, 1.0), "fuse": (30.0, 1.0), "distil": (30.0, 1.0)}
LESSON = 1.5  # inferences of the source that a lesson on a piece of a frame's size takes
OWN_SHARE = 0.25  # of the effort's time, for the source's own answers
FEWEST = 24  # frames, however slow the source is
SURE = 2  # plans that stay, however little time there is


@dataclass(frozen=True)
class Estimate:
    """Seconds ahead, by task; what is kept from an earlier run takes none."""

    cooking: dict[str, float] = field(default_factory=dict)
    comparing: dict[str, float] = field(default_factory=dict)
    racing: float = 0.0
    looking: dict[str, float] = field(default_factory=dict)

    @property
    def tasks(self) -> dict[str, float]:
        """By name of task."""
        named = {f"cook {name}": seconds for name, seconds in self.cooking.items()}
        named |= {f"compare {name}": seconds for name, seconds in self.comparing.items()}
        return named | {"race": self.racing} | self.looking

    @property
    def after_s(self) -> float:
        """What comes after the trials."""
        return sum(self.looking.values())

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(self.tasks.values())

    def __str__(self) -> str:
        parts = {
            f"{len(self.cooking)} recipes": sum(self.cooking.values()),
            f"{len(self.comparing)} comparisons": sum(self.comparing.values()),
            "racing": self.racing,
            "a closer look": self.after_s,
        }
        return f"{about(self.seconds)}: " + ", ".join(f"{name} {about(value)[6:]}" for name, value in parts.items())


@dataclass(frozen=True)
class Pace:
    """What this machine takes for things: ``source_s`` for one inference of the source; what was timed is in results.

    Durations of earlier trials, on whichever source, are scaled by the two sources' inference times.
    """

    source_s: float
    results: Results
    host: Host

    def remember(self, recipe: Recipe, seconds: float) -> None:
        """What cooking it took."""
        self.results.put(DURATIONS, self._question(recipe), {"seconds": seconds, "source_s": self.source_s})

    def cook_s(self, recipe: Recipe, calibration: int) -> float:
        """What cooking it should take."""
        known: Any = self.results.get(DURATIONS, self._question(recipe))
        if known:
            return float(known["seconds"] * max(0.5, self.source_s / known["source_s"]))
        seconds = START_S
        for step in recipe.steps:
            constant, inferences = STEPS.get(step.kind, (1.0, 0.0))
            frames = min(calibration, int(step.fields.get("frames", 0)))
            pieces = step.fields.get("lessons", 0) * step.fields.get("batch", 1) * step.fields.get("share", 1.0) ** 2
            seconds += constant + (inferences * frames + LESSON * pieces) * self.source_s
        return seconds

    def frames(self, effort: Effort) -> int:
        """As many of the effort's frames as the source answers in a part of its time, but a few."""
        affordable = OWN_SHARE * effort.limit_s / (self.source_s + FRAME_S)
        return max(FEWEST, int(min(effort.frames, affordable)))

    def compare_s(self, recipe: str, frames: int) -> float:
        """What the masks of a recipe's candidate on so many frames should take."""
        share = next(share for name, share in SHARES if recipe.startswith(name))
        return START_S + frames * (FRAME_S + share * self.source_s)

    def own_s(self, frames: int) -> float:
        """The same of the source."""
        return STOCK_START_S + frames * (FRAME_S + self.source_s)

    def race_s(self, effort: Effort, candidates: int, baselines: int) -> float:
        """Both heats; the source takes longer than its share of a round where a few frames do."""
        everybody = 2 * max(effort.round_s, 4 * self.source_s) + (baselines + candidates) * effort.round_s
        finalists = min(effort.finalists, candidates)
        final = everybody - (candidates - finalists) * effort.round_s
        starts = 2 * STOCK_START_S + (baselines + candidates) * COMPILE_S
        return starts + effort.heat * everybody * (candidates > finalists) + effort.rounds * final

    def look_s(self, effort: Effort) -> dict[str, float]:
        """What the closer look should take, by task."""
        sweep_s = effort.sweep_s
        if not sweep_s:
            return dict(LOOK_S)
        return LOOK_S | {"sweeps": (WINNERS + OTHERS) * sweep_s, "isas": WINNERS * sweep_s, "rematch": AGAIN * sweep_s}

    def _question(self, recipe: Recipe) -> dict[str, Any]:
        steps = [[step.kind, step.revision, step.fields.get("frames", 0)] for step in recipe.steps]
        return {"recipe": recipe.name, "steps": steps, "cpu": self.host.cpu, "cores": self.host.cores}


Count = Callable[[Sequence[Plan]], Estimate]


def afford(plans: Sequence[Plan], count: Count, limit_s: float) -> tuple[tuple[Plan, ...], Estimate]:
    """The plans that fit the limit: in their order, each that still does beside those before it; a few always stay."""
    kept = tuple(plans[:SURE])
    for plan in plans[SURE:]:
        if count((*kept, plan)).seconds <= limit_s:
            kept = (*kept, plan)
    return kept, count(kept)
