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


def test_what_was_never_raced_cannot_win() -> None:
    assert choose([trial("silent"), FAST], "throughput") is FAST


def test_when_nothing_is_met_the_nearest_and_every_rejection_are_told() -> None:
    with pytest.raises(BudgetError) as refused:
        choose([WRONG, FAILED, CLOSE, trial("silent")], "throughput")
    first, *rejections = str(refused.value).splitlines()
    assert first == (
        "nothing met the budget; the nearest is: close; 1 of 4 trials were not tried or failed: "
        "for more time, raise --effort or --trial-s"
    )
    assert rejections == [
        "  wrong: rejected: iou_drop: 7",
        "  failed: failed: its process died",
        "  close: rejected: iou_drop: 0.6",
        "  silent: accepted: has no throughput",
    ]


@pytest.mark.parametrize("trials", [[], [FAILED]])
def test_nothing_measured_has_no_nearest(trials) -> None:
    with pytest.raises(BudgetError, match="the nearest is: none"):
        choose(trials, "throughput")


def test_an_unknown_objective_is_refused_before_anything_runs() -> None:
    with pytest.raises(InputError, match="--objective: expected balanced, throughput or latency, received speed"):
        check_objective("speed")


def test_what_was_not_raced_to_the_end_cannot_win_but_where_all_that_were_have_fallen() -> None:
    lucky = replace(trial("lucky", measured("throughput", 900), measured("iou_drop", 0.1)), finalist=False)
    assert choose([lucky, FAST], "throughput") is FAST
    assert choose([lucky, FAST.reject("not confirmed")], "throughput") is lucky


def test_throughput_is_compared_by_the_ratio_to_the_baseline() -> None:
    """Noise slows all subjects, but not the ratio."""
    early = trial("early", measured("throughput", 100), measured("speedup", 5), measured("iou_drop", 0.1))
    late = trial("late", measured("throughput", 60), measured("speedup", 6), measured("iou_drop", 0.1))
    assert choose([early, late], "throughput") is late


def test_the_nearest_breaks_fewest_limits_and_then_loses_least() -> None:
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
def test_what_looks_best_after_a_few_rounds(objective: str, limit: float | None, expected: float | None) -> None:
    assert rate("a", ROUNDS, objective, Budget(0.5, limit)) == expected


def test_who_has_not_raced_yet_may_still_win() -> None:
    assert rate("a", Rounds(), "throughput", Budget(0.5)) == 0


@pytest.mark.parametrize(("speedup", "winner"), [(9.2, "f32"), (11.0, "bf16")])
def test_what_only_runs_a_graph_otherwise_must_be_surely_faster(speedup: float, winner: str) -> None:
    """Otherwise noise would choose the precision."""
    first = named("f32", structs.replace(measured("speedup", 8.6), low=8.2, high=9.0))
    other = named("bf16", structs.replace(measured("speedup", speedup), low=speedup - 0.7, high=speedup + 0.7))
    assert choose([first, other], "throughput").name == winner


def test_where_one_has_no_ratio_all_are_compared_without() -> None:
    bare = trial("bare", measured("throughput", 100), measured("iou_drop", 0.1))
    raced = trial("raced", measured("throughput", 300), measured("speedup", 9), measured("iou_drop", 0.1))
    assert choose([bare, raced], "throughput") is raced


def named(name: str, speedup: Measurement) -> Trial:
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
def test_nobody_is_surely_better_than_the_winner(trials: list[Trial], objective: str) -> None:
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
def test_of_equals_the_first_is_chosen_whatever_else_there_is(trials: list[Trial]) -> None:
    same = [replace(item, name=f"again {item.name}") for item in trials]
    assert choose([*trials, *same], "throughput") in trials


@given(st.lists(MERITS, max_size=4), st.lists(MERITS, min_size=1, max_size=4))
def test_what_is_rejected_never_wins_however_fast(accepted: list[Trial], rejected: list[Trial]) -> None:
    refused = [item.reject("too inaccurate") for item in rejected]
    if not accepted:
        with pytest.raises(BudgetError):
            choose(refused, "throughput")
        return
    assert choose([*refused, *accepted], "throughput") in accepted


def test_one_that_is_slower_than_its_budget_needs_no_more_rounds() -> None:
    rounds = Rounds({"a": [10.0] * 3}, {"a": [30.0, 31.0, 90.0]})
    assert rate("a", rounds, "throughput", Budget(0.5, 30.5)) is None
    assert rate("a", rounds, "throughput", Budget(0.5, 31.0)) == 10


def test_of_latency_nothing_is_known_before_the_first_round() -> None:
    assert rate("a", Rounds(), "latency", Budget(0.5)) is None


def run_of(name: str, speed: float, latency: float, **changes: object) -> Trial:
    """Return an accepted trial whose speed has an interval of 3 %."""
    speedup = structs.replace(measured("speedup", speed), low=0.97 * speed, high=1.03 * speed)
    found = trial(name, measured("throughput", 10 * speed), speedup, measured("latency", latency))
    return replace(found, **changes)  # type: ignore[arg-type]


def test_of_equal_throughput_the_lower_latency_wins() -> None:
    many, one, slow = run_of("many", 10.0, 40.0), run_of("one", 9.8, 12.0), run_of("slow", 7.0, 5.0)
    for objective in ("throughput", "balanced"):
        assert choose([many, one, slow], objective) is one


def test_balanced_a_frame_takes_no_longer_than_in_the_source_where_there_is_a_choice() -> None:
    many, one = run_of("many", 10.0, 261.0, is_slower=True), run_of("one", 6.0, 66.0)
    assert choose([many, one], "balanced") is one
    assert choose([many, one], "throughput") is many
    assert choose([many], "balanced") is many


@pytest.mark.parametrize(("latency", "slower"), [(50.0, False), (100.0, False), (130.0, True)])
def test_slower_than_the_source_is_what_surely_is(latency: float, slower: bool) -> None:
    own = measured("latency", 100.0, low=90.0, high=120.0)
    assert is_slower(trial("t", measured("latency", latency)), own) == slower
    assert not is_slower(trial("t"), own)
    assert not is_slower(trial("t", measured("latency", latency)), None)


def test_balanced_what_keeps_a_frame_too_long_looks_worse_after_a_few_rounds() -> None:
    rounds = Rounds(
        {"many": [20.0], "one": [15.0], "source": [5.0]}, {"many": [400.0], "one": [60.0], "source": [200.0]}
    )
    rates = [rate(name, rounds, "balanced", Budget(0.5), ["source"]) for name in ("many", "one")]
    assert rates == [10.0, 15.0]
    assert rate("many", rounds, "throughput", Budget(0.5), ["source"]) == 20.0
