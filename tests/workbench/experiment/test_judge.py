"""Choice of the winner, and the error when there is none."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from danmatte.contract.measurement import Measurement
from danmatte_workbench.benchmark.benchmark import Rounds
from danmatte_workbench.budget import Budget
from danmatte_workbench.errors import BudgetError, InputError
from danmatte_workbench.experiment.judge import check_objective, choose, find_nearest, is_slower, rate
from danmatte_workbench.experiment.trial import Trial
from tests.workbench.facts import measured, recipe, trial

FAST = trial("fast", measured("throughput", 90), measured("latency", 9), measured("iou_drop", 0.1))
PROMPT = trial("prompt", measured("throughput", 50), measured("latency", 3), measured("iou_drop", 0.2))
WRONG = trial(
    "wrong", measured("throughput", 200), measured("latency", 1), measured("iou_drop", 7), broken=("iou_drop: 7",)
)
CLOSE = trial("close", measured("throughput", 150), measured("iou_drop", 0.6), broken=("iou_drop: 0.6",))
FAILED = trial("failed").stop("failed", "its process died")
ALL = [WRONG, FAST, FAILED, PROMPT, CLOSE]


@pytest.mark.parametrize(("objective", "winner"), [("throughput", FAST), ("latency", PROMPT)])
def test_the_best_accepted_trial_wins(objective: str, winner) -> None:
    assert choose(ALL, objective) is winner


def test_a_trial_that_was_never_raced_cannot_win() -> None:
    assert choose([trial("unraced"), FAST], "throughput") is FAST


def test_if_no_trial_meets_the_budget_the_nearest_and_all_rejections_are_listed() -> None:
    with pytest.raises(BudgetError) as refused:
        choose([WRONG, FAILED, CLOSE, trial("unraced")], "throughput")
    first, *rejections = str(refused.value).splitlines()
    assert first == (
        "nothing met the budget; the nearest is: close; 1 of 4 trials were not tried or failed: "
        "for more time, raise --effort or --trial-s"
    )
    assert rejections == [
        "  wrong: rejected: iou_drop: 7",
        "  failed: failed: its process died",
        "  close: rejected: iou_drop: 0.6",
        "  unraced: accepted: has no throughput",
    ]


@pytest.mark.parametrize("trials", [[], [FAILED]])
def test_without_measurements_there_is_no_nearest_trial(trials) -> None:
    with pytest.raises(BudgetError, match="the nearest is: none"):
        choose(trials, "throughput")


def test_an_unknown_objective_is_refused() -> None:
    with pytest.raises(InputError, match="--objective: expected balanced, throughput or latency, received speed"):
        check_objective("speed")


def test_a_trial_outside_the_final_wins_only_if_all_finalists_are_rejected() -> None:
    lucky = replace(trial("lucky", measured("throughput", 900), measured("iou_drop", 0.1)), finalist=False)
    assert choose([lucky, FAST], "throughput") is FAST
    assert choose([lucky, FAST.reject("not confirmed")], "throughput") is lucky


def test_throughput_is_compared_by_the_ratio_to_the_baseline() -> None:
    """Noise slows all subjects, but not the ratio."""
    early = trial("early", measured("throughput", 100), measured("speedup", 5), measured("iou_drop", 0.1))
    late = trial("late", measured("throughput", 60), measured("speedup", 6), measured("iou_drop", 0.1))
    assert choose([early, late], "throughput") is late


def test_the_nearest_trial_breaks_the_fewest_limits_and_then_loses_least() -> None:
    both = trial("both", measured("iou_drop", 0.1), broken=("latency: 9", "iou_drop: 0.1"))
    tensors = trial("tensors", measured("disagreement", 0.5), broken=("disagreement: 0.5",))
    assert find_nearest([both, CLOSE, WRONG]) is CLOSE
    assert find_nearest([both, CLOSE, tensors]) is tensors
    assert find_nearest([FAILED]) is None


ROUNDS = Rounds(throughput={"a": [90.0, 100.0, 110.0]}, latency_ms={"a": [9.0, 10.0, 11.0]})


@pytest.mark.parametrize(
    ("objective", "limit", "expected"),
    [("throughput", None, 100), ("latency", None, -10), ("throughput", 11, 100), ("throughput", 9, None)],
)
def test_a_trial_is_rated_by_its_objective_unless_it_exceeds_the_latency_limit(
    objective: str, limit: float | None, expected: float | None
) -> None:
    assert rate("a", ROUNDS, objective, Budget(0.5, limit)) == expected


def test_a_trial_without_rounds_is_rated_0_and_may_still_win() -> None:
    assert rate("a", Rounds(), "throughput", Budget(0.5)) == 0


@pytest.mark.parametrize(("speedup", "winner"), [(9.2, "f32"), (11.0, "bf16")])
def test_another_configuration_of_a_graph_wins_only_if_certainly_faster(speedup: float, winner: str) -> None:
    """Otherwise noise would choose the precision."""
    first = make_int8_trial("f32", structs.replace(measured("speedup", 8.6), low=8.2, high=9.0))
    other = make_int8_trial(
        "bf16", structs.replace(measured("speedup", speedup), low=speedup - 0.7, high=speedup + 0.7)
    )
    assert choose([first, other], "throughput").name == winner


def test_if_one_trial_has_no_speedup_all_are_compared_by_throughput() -> None:
    bare = trial("bare", measured("throughput", 100), measured("iou_drop", 0.1))
    raced = trial("raced", measured("throughput", 300), measured("speedup", 9), measured("iou_drop", 0.1))
    assert choose([bare, raced], "throughput") is raced


def make_int8_trial(name: str, speedup: Measurement) -> Trial:
    """Return a trial of one graph."""
    return replace(
        trial(name, measured("throughput", 300), speedup, measured("iou_drop", 0.1)), recipe=recipe(name="int8")
    )


def make_merit(name: str, value: float, spread: float, *, recipe_name: str, latency: float = 9.0) -> Trial:
    """Return an accepted trial with that speedup."""
    speedup = structs.replace(measured("speedup", value), low=value - spread, high=value + spread)
    found = trial(name, measured("throughput", 10 * value), speedup, measured("latency", latency))
    return replace(found, recipe=recipe(name=recipe_name))


MERITS = st.builds(
    make_merit,
    st.uuids().map(str),
    st.floats(1.0, 9.0),
    st.floats(0.0, 1.0),
    recipe_name=st.sampled_from(["int8", "float"]),
    latency=st.floats(1.0, 50.0),
)


@given(st.lists(MERITS, min_size=1, max_size=6), st.sampled_from(["throughput", "latency"]))
def test_no_trial_is_certainly_better_than_the_winner(trials: list[Trial], objective: str) -> None:
    winner = choose(trials, objective)
    metric = "speedup" if objective == "throughput" else "latency"
    mine = winner.get(metric)
    assert mine is not None
    for other in trials:
        theirs = other.get(metric)
        assert theirs is not None
        if objective == "throughput":
            assert theirs.low <= mine.high
        else:
            assert theirs.high >= mine.low


@given(st.lists(MERITS, min_size=1, max_size=6))
def test_the_first_of_equal_trials_is_chosen(trials: list[Trial]) -> None:
    same = [replace(item, name=f"again {item.name}") for item in trials]
    assert choose([*trials, *same], "throughput") in trials


@given(st.lists(MERITS, max_size=4), st.lists(MERITS, min_size=1, max_size=4))
def test_a_rejected_trial_never_wins_however_fast(accepted: list[Trial], rejected: list[Trial]) -> None:
    refused = [item.reject("too inaccurate") for item in rejected]
    if not accepted:
        with pytest.raises(BudgetError):
            choose(refused, "throughput")
        return
    assert choose([*refused, *accepted], "throughput") in accepted


def test_a_trial_above_the_latency_limit_has_no_rating() -> None:
    rounds = Rounds({"a": [10.0] * 3}, {"a": [30.0, 31.0, 90.0]})
    assert rate("a", rounds, "throughput", Budget(0.5, 30.5)) is None
    assert rate("a", rounds, "throughput", Budget(0.5, 31.0)) == 10


def test_for_the_latency_objective_a_trial_without_rounds_has_no_rating() -> None:
    assert rate("a", Rounds(), "latency", Budget(0.5)) is None


def make_precise_trial(name: str, speed: float, latency: float, **changes: object) -> Trial:
    """Return an accepted trial whose speed has an interval of 3 %."""
    speedup = structs.replace(measured("speedup", speed), low=0.97 * speed, high=1.03 * speed)
    found = trial(name, measured("throughput", 10 * speed), speedup, measured("latency", latency))
    return replace(found, **changes)  # type: ignore[arg-type]


def test_at_equal_throughput_the_lower_latency_wins() -> None:
    many, one, slow = (
        make_precise_trial("many", 10.0, 40.0),
        make_precise_trial("one", 9.8, 12.0),
        make_precise_trial("slow", 7.0, 5.0),
    )
    for objective in ("throughput", "balanced"):
        assert choose([many, one, slow], objective) is one


def test_balanced_prefers_a_trial_with_no_higher_latency_than_the_source() -> None:
    many, one = make_precise_trial("many", 10.0, 261.0, is_slower=True), make_precise_trial("one", 6.0, 66.0)
    assert choose([many, one], "balanced") is one
    assert choose([many, one], "throughput") is many
    assert choose([many], "balanced") is many


@pytest.mark.parametrize(("latency", "slower"), [(50.0, False), (100.0, False), (130.0, True)])
def test_a_trial_is_slower_than_the_source_only_if_certainly_so(latency: float, slower: bool) -> None:
    own = measured("latency", 100.0, low=90.0, high=120.0)
    assert is_slower(trial("t", measured("latency", latency)), own) == slower
    assert not is_slower(trial("t"), own)
    assert not is_slower(trial("t", measured("latency", latency)), None)


def test_balanced_rates_a_trial_lower_if_its_latency_exceeds_the_sources() -> None:
    rounds = Rounds(
        {"many": [20.0], "one": [15.0], "source": [5.0]}, {"many": [400.0], "one": [60.0], "source": [200.0]}
    )
    rates = [rate(name, rounds, "balanced", Budget(0.5), ["source"]) for name in ("many", "one")]
    assert rates == [10.0, 15.0]
    assert rate("many", rounds, "throughput", Budget(0.5), ["source"]) == 20.0
