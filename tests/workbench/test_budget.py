"""Budgets: the verdict for choosing a winner, the one for confirming it, and unmeasured metrics."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte.contract.measurement import Measurement
from danmatte_workbench.budget import DISAGREEMENT, IOU_DROP, LATENCY, Budget
from danmatte_workbench.errors import InputError
from tests.workbench.facts import HOST, measured

GOOD = (measured(IOU_DROP, 0.2, low=0.1, high=0.4), measured(LATENCY, 9, low=8, high=10))


def test_measurements_within_every_limit_are_accepted() -> None:
    assert Budget(0.5, 12).judge(GOOD).accepted


def test_a_value_equal_to_its_limit_is_accepted() -> None:
    assert Budget(0.2, 10).judge(GOOD).accepted
    assert Budget(0.2, 10).confirm(GOOD).accepted


@pytest.mark.parametrize("metric", [IOU_DROP, LATENCY])
def test_an_unmeasured_metric_breaks_its_limit(metric: str) -> None:
    rest = [item for item in GOOD if item.metric != metric]
    verdict = Budget(0.5, 12).judge(rest)
    assert verdict.broken == (f"{metric} was not measured",)
    assert not verdict.accepted


def test_a_limit_that_was_not_set_needs_no_measurement() -> None:
    assert Budget(0.5).judge(GOOD[:1]).accepted


def test_latency_is_judged_by_the_upper_end_of_its_interval() -> None:
    assert Budget(0.5, 9.5).judge(GOOD).broken == ("latency may reach 10 u, the limit is 9.5",)


def test_choosing_judges_the_loss_and_confirming_also_its_interval() -> None:
    wide = (measured(IOU_DROP, 0.4, low=-0.5, high=1.1), GOOD[1])
    assert Budget(0.5, 12).judge(wide).accepted
    assert Budget(0.5, 12).confirm(wide).broken == ("iou_drop may reach 1.1 u, the interval's limit is 1",)
    for judge in (Budget(0.3, 12).judge, Budget(0.3, 12).confirm):
        assert judge(wide).broken == ("iou_drop is 0.4 u, the limit is 0.3",)


def kind(value: float, spread: float, samples: int) -> Measurement:
    return Measurement(IOU_DROP, value, "points", value - spread, value + spread, samples=samples, host=HOST)


@pytest.mark.parametrize(
    ("loss", "chosen", "confirmed"),
    [
        (kind(0.4, 0.5, 60), None, None),
        (kind(0.4, 0.7, 60), None, "may reach 1.1 points, the interval's limit is 1"),
        (
            kind(0.8, 0.2, 60),
            "is 0.8 points, the limit is 0.5, and its whole interval is above it",
            "is 0.8 points, the limit is 0.5",
        ),
        (kind(0.8, 0.9, 60), None, "is 0.8 points, the limit is 0.5"),
        (kind(0.8, 0.9, 10), None, None),
        (kind(3.0, 1.0, 10), *("is 3 points, the limit is 0.5, and its whole interval is above it",) * 2),
    ],
    ids=["kept", "wide", "surely above", "perhaps above", "few pictures", "few and surely above"],
)
def test_a_kind_of_scene_has_the_same_limit_where_it_has_enough_pictures(
    loss: Measurement, chosen: str | None, confirmed: str | None
) -> None:
    for judge, says in ((Budget(0.5, 12).judge, chosen), (Budget(0.5, 12).confirm, confirmed)):
        assert judge(GOOD, {"night": loss}).broken == ((f"iou_drop in night {says}",) if says else ())


def test_every_broken_limit_is_reported() -> None:
    assert len(Budget(0.1, 9).judge(GOOD).broken) == 2


def test_accuracy_can_be_judged_before_latency_is_measured() -> None:
    assert Budget(0.5, 1).accepts_accuracy(GOOD[:1])
    assert not Budget(0.1, 1).accepts_accuracy(GOOD[:1])
    assert not Budget(0.5, 1).accepts_accuracy(GOOD[:1], {"night": kind(9, 1, 10)})
    assert not Budget(0.5, 1).accepts_accuracy(GOOD[1:])


def test_a_value_of_nan_breaks_its_limit() -> None:
    """Measurements contain no NaN, but comparisons mustn't depend on that."""

    @dataclass(frozen=True)
    class Odd:
        metric: str = IOU_DROP
        value: float = math.nan
        high: float = math.nan
        unit: str = "points"

    assert not Budget(100.0).judge([Odd()]).accepted  # type: ignore[list-item]
    assert not Budget(100.0).confirm([Odd(value=1.0)]).accepted  # type: ignore[list-item]


def test_tensors_are_judged_by_their_disagreement() -> None:
    budget = Budget(None, max_disagreement=1)
    assert budget.accuracy == DISAGREEMENT
    assert budget.judge([measured(DISAGREEMENT, 0.9)]).accepted
    assert budget.judge([measured(DISAGREEMENT, 1.1)]).broken == ("disagreement is 1.1 u, the limit is 1",)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ((-0.5,), r"--max-iou-drop: expected points from 0 to 100, such as 0\.5, received -0\.5"),
        ((math.nan,), "--max-iou-drop: expected points .* received nan"),
        ((math.inf,), "--max-iou-drop: .* received inf"),
        ((0.5, 0.0), "--max-latency-ms: expected more than 0, received 0"),
        ((0.5, math.nan), "--max-latency-ms: .* received nan"),
        ((None, None, -1.0), "--max-disagreement: .* received -1"),
        ((None, 5.0), "a budget needs --max-iou-drop, or --max-disagreement"),
    ],
)
def test_an_invalid_limit_is_refused(limits: tuple[float | None, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Budget(*limits)


@given(st.floats(-5, 5), st.floats(0, 5), st.floats(0, 100))
def test_a_confirmed_loss_is_at_most_twice_its_limit_at_its_upper_end(
    value: float, spread: float, limit: float
) -> None:
    item = measured(IOU_DROP, value, low=value - spread, high=value + spread)
    assert Budget(limit).judge([item]).accepted == (value <= limit)
    assert Budget(limit).confirm([item]).accepted == (value <= limit and value + spread <= 2 * limit)
    assert Budget(limit).accepts_accuracy([item]) == Budget(limit).judge([item]).accepted


@given(st.floats(0, 50), st.floats(0, 50))
def test_a_wider_budget_accepts_whatever_a_narrower_one_does(one: float, other: float) -> None:
    narrow, wide = sorted((one, other))
    item = measured(IOU_DROP, 20.0, low=10.0, high=45.0)
    assert Budget(narrow).judge([item]).accepted <= Budget(wide).judge([item]).accepted
    assert Budget(narrow).confirm([item]).accepted <= Budget(wide).confirm([item]).accepted
