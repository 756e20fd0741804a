"""Timing in short windows until they agree."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte_workbench.benchmark.windows import Patience, Window, Windows, gather_windows
from tests.workbench.facts import HOST

ALWAYS = float("inf")


class Clockwork:
    """Runs with known speeds in frames a second, one after another; the last one is repeated."""

    def __init__(self, *speeds: float, diary: list[str] | None = None, name: str = "") -> None:
        self._speeds, self._diary, self._name = list(speeds), diary, name

    def __call__(self) -> Window:
        if self._diary is not None:
            self._diary.append(self._name)
        speed = self._speeds.pop(0) if len(self._speeds) > 1 else self._speeds[0]
        return Window(speed, (1000 / speed,))


def gathered(own: Callable[[], Window], reference: Callable[[], Window], *, until: float = ALWAYS) -> Windows:
    return gather_windows(own, reference, Patience(min_windows=3, max_windows=6, tolerance=0.05), until=until)


def test_timing_stops_at_the_minimum_of_windows_if_they_agree() -> None:
    found = gathered(Clockwork(20), Clockwork(10))
    assert (len(found.own), found.agreed) == (3, True)
    assert found.ratios == [2.0, 2.0, 2.0]


def test_noise_common_to_both_sides_cancels() -> None:
    found = gathered(Clockwork(20, 4, 40), Clockwork(10, 2, 20))
    assert (len(found.own), found.agreed) == (3, True)


def test_timing_continues_until_windows_agree() -> None:
    found = gathered(Clockwork(90, 20, 20, 20), Clockwork(10))
    assert (len(found.own), found.agreed) == (4, True)


def test_windows_that_never_agree_are_kept_with_a_wide_interval() -> None:
    found = gathered(Clockwork(10, 20, 30, 40, 50, 60), Clockwork(10))
    assert (len(found.own), found.agreed) == (6, False)
    ratio = found.measure_ratio("ratio", HOST)
    assert (ratio.low, ratio.high) == (1.0, 6.0)


def test_after_the_deadline_only_the_minimum_of_windows_is_timed() -> None:
    found = gathered(Clockwork(10, 20, 30, 40, 50, 60), Clockwork(10), until=time.monotonic() - 1)
    assert (len(found.own), found.agreed) == (3, False)


def test_both_sides_alternate_and_neither_is_always_first() -> None:
    diary: list[str] = []
    gathered(Clockwork(1, 2, 1, 2, diary=diary, name="A"), Clockwork(1, diary=diary, name="B"))
    assert "".join(diary).startswith("BAABBA")


def test_throughput_and_latency_are_of_the_timed_setting_not_of_the_reference() -> None:
    found = gathered(Clockwork(20), Clockwork(10))
    assert found.measure_throughput(HOST).value == 20
    assert found.measure_latency(HOST).value == 50


@pytest.mark.parametrize(
    ("values", "agree"),
    [
        ((1.0, 1.0), False),
        ((1.0, 1.04, 1.0), True),
        ((1.0, 1.06, 1.0), False),
        ((9.0, 1.0, 1.0, 1.0), True),
        ((), False),
    ],
)
def test_agreement_is_checked_on_the_newest_windows(values: tuple[float, ...], agree: bool) -> None:
    assert Patience(min_windows=3, max_windows=8, tolerance=0.05).is_settled(values) is agree


@pytest.mark.parametrize(
    "fields", [{"min_windows": 1}, {"min_windows": 5, "max_windows": 4}, {"tolerance": 0.0}, {"tolerance": 1.5}]
)
def test_impossible_patience_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Patience(**fields)


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ValueError, match="frames in a window"):
        Window(0.0, (1.0,))
    with pytest.raises(ValueError, match="frames in a window"):
        Window(1.0, ())


@given(st.lists(st.floats(0.01, 100.0), max_size=12))
def test_windows_settle_only_if_the_newest_lie_near_their_median(values: list[float]) -> None:
    patience = Patience(min_windows=3, max_windows=8, tolerance=0.05)
    newest = sorted(values[-3:])
    near = len(newest) == 3 and max(newest[2] - newest[1], newest[1] - newest[0]) <= 0.05 * newest[1]
    assert patience.is_settled(values) == near


@given(st.lists(st.floats(1.0, 1000.0), min_size=1, max_size=20), st.integers(2, 5), st.integers(0, 5))
def test_the_number_of_windows_stays_within_the_limits_of_patience(speeds: list[float], least: int, more: int) -> None:
    patience = Patience(min_windows=least, max_windows=least + more, tolerance=0.05)
    found = gather_windows(Clockwork(*speeds), Clockwork(10.0), patience, until=ALWAYS)
    assert least <= len(found.own) <= least + more
    assert len(found.own) == len(found.reference)
    assert found.agreed or len(found.own) == least + more
