"""How long a run will take, and which plans it can afford."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from danmatte_workbench.configuration import configure
from danmatte_workbench.experiment.estimate import Estimate, Pace, afford
from danmatte_workbench.experiment.result_cache import Results
from danmatte_workbench.experiment.search import Effort, Plan
from danmatte_workbench.recipe import StepSpec
from tests.workbench.facts import HOST, recipe

QUANTIZED = recipe(name="int8", steps=(StepSpec("cut", 1, {}), StepSpec("quantize", 1, {"frames": 64})))
PRUNED = recipe(name="int8-pruned", steps=(*QUANTIZED.steps, StepSpec("prune", 1, {"share": 0.3, "frames": 96})))
F32, BF16 = configure(), configure(precision="bf16")


def pace(folder: Path, source_s: float = 0.2) -> Pace:
    return Pace(source_s, Results(folder), HOST)


def test_a_guess_grows_with_frames_and_with_the_sources_time(tmp_path: Path) -> None:
    slow, fast = pace(tmp_path, 0.4), pace(tmp_path, 0.2)
    assert slow.cook_s(QUANTIZED, 64) > fast.cook_s(QUANTIZED, 64) > fast.cook_s(QUANTIZED, 8)
    assert fast.cook_s(QUANTIZED, 64) == fast.cook_s(QUANTIZED, 1000)
    assert fast.cook_s(PRUNED, 96) > fast.cook_s(QUANTIZED, 96)
    assert slow.compare_s("uncut", 100) > slow.compare_s("float", 100) > slow.compare_s("int8", 100)


def test_what_was_timed_is_known_the_next_time_also_for_another_source(tmp_path: Path) -> None:
    pace(tmp_path, 0.2).remember(QUANTIZED, 33.0)
    assert pace(tmp_path, 0.2).cook_s(QUANTIZED, 64) == 33
    assert pace(tmp_path, 0.4).cook_s(QUANTIZED, 64) == 66
    assert pace(tmp_path, 0.2).cook_s(PRUNED, 64) != 33


def test_racing_takes_what_rounds_and_contenders_take(tmp_path: Path) -> None:
    effort = Effort("quick", (), calibration=1, frames=1, rounds=10, round_s=1.0, heat=3, finalists=4)
    here = pace(tmp_path, 0.01)
    few, many = here.race_s(effort, 4, 4), here.race_s(effort, 10, 4)
    assert few == pytest.approx(2 * 9 + 8 * 2 + 10 * 10)
    assert many == pytest.approx(2 * 9 + 14 * 2 + 10 * 10 + 3 * 16)


def test_an_estimate_says_what_takes_how_long() -> None:
    estimate = Estimate({"float": 30.0, "int8": 60.0}, {"float f32": 90.0}, 45.0, {"masks": 15.0})
    assert estimate.seconds == 240
    assert str(estimate) == "about 4 min: 2 recipes 2 min, 1 comparisons 2 min, racing 45 s, a closer look 15 s"
    assert set(estimate.tasks) == {"cook float", "cook int8", "compare float f32", "race", "masks"}


PLANS = tuple(Plan(name, configuration) for name in ("best", "good", "dull") for configuration in (F32, BF16))


def count(plans: Sequence[Plan]) -> Estimate:
    """100 s for each candidate, and 10 s for each precision."""
    return Estimate(
        dict.fromkeys({plan.cooked for plan in plans}, 100.0),
        dict.fromkeys({f"{plan.cooked} {plan.configuration.precision}" for plan in plans}, 10.0),
    )


@pytest.mark.parametrize(("limit_s", "left"), [(1000, 6), (360, 6), (350, 5), (349, 4), (240, 4), (235, 3), (0, 2)])
def test_the_least_promising_plans_are_dropped_first_and_some_always_stay(limit_s: float, left: int) -> None:
    plans, estimate = afford(PLANS, count, limit_s)
    assert plans == PLANS[:left]
    assert estimate == count(plans)


def test_what_does_not_fit_leaves_its_time_to_others() -> None:
    costs = {"best": 10.0, "good": 10.0, "long": 900.0, "dull": 50.0}
    plans = [Plan(name, F32) for name in costs]

    def cost(chosen: Sequence[Plan]) -> Estimate:
        return Estimate({plan.cooked: costs[plan.cooked] for plan in chosen})

    assert [plan.recipe for plan in afford(plans, cost, 100)[0]] == ["best", "good", "dull"]


@pytest.mark.parametrize(("source_s", "expected"), [(0.01, 400), (1.0, 58), (100.0, 24)])
def test_a_slow_source_is_compared_on_fewer_frames(tmp_path: Path, source_s: float, expected: int) -> None:
    effort = Effort("quick", (), calibration=1, frames=400, rounds=1, round_s=1.0, limit_s=240.0)
    assert pace(tmp_path, source_s).frames(effort) == expected


def test_lessons_count_by_their_number_and_size(tmp_path: Path) -> None:
    few, many = (
        recipe(steps=(StepSpec("distil", 1, {"lessons": lessons, "batch": 8, "share": 0.5, "frames": 100}),))
        for lessons in (100, 1000)
    )
    assert pace(tmp_path).cook_s(many, 100) - pace(tmp_path).cook_s(few, 100) == pytest.approx(540)
