"""What a winner may cost: the pessimistic end counts, and what wasn't measured is broken."""

import math

import pytest

from tests.workbench.facts import measured
from workbench.budget import IOU_DROP, LATENCY, Budget

GOOD = {IOU_DROP: measured(IOU_DROP, 0.2, low=0.1, high=0.4), LATENCY: measured(LATENCY, 9, low=8, high=10)}


def test_what_keeps_every_limit_is_accepted() -> None:
    assert Budget(0.5, 12).judge(GOOD).accepted


def test_a_limit_just_reached_is_kept() -> None:
    assert Budget(0.4, 10).judge(GOOD).accepted


@pytest.mark.parametrize("metric", [IOU_DROP, LATENCY])
def test_what_was_not_measured_is_broken(metric: str) -> None:
    rest = {name: value for name, value in GOOD.items() if name != metric}
    verdict = Budget(0.5, 12).judge(rest)
    assert verdict.broken == (f"{metric} was not measured",)
    assert not verdict.accepted


def test_a_limit_that_was_not_set_needs_no_measurement() -> None:
    assert Budget(0.5).judge({IOU_DROP: GOOD[IOU_DROP]}).accepted


def test_the_pessimistic_end_of_the_interval_counts() -> None:
    verdict = Budget(0.3, 12).judge(GOOD)
    assert verdict.broken == ("iou_drop may reach 0.4 u, the limit is 0.3",)


def test_every_broken_limit_is_told() -> None:
    assert len(Budget(0.3, 9).judge(GOOD).broken) == 2


@pytest.mark.parametrize("limits", [(math.nan, None), (0.5, math.nan)])
def test_a_limit_that_is_no_number_is_never_kept(limits: tuple[float, float | None]) -> None:
    assert not Budget(*limits).judge(GOOD).accepted
