"""The search space of a sweep, and the choice of the best point."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte.contract.measurement import Measurement
from danmatte_workbench.benchmark.space import Point, Space, find_best
from danmatte_workbench.benchmark.windows import Timing
from danmatte_workbench.configuration import Setting, configure
from tests.workbench.facts import HOST

SPACE = Space.for_cpu(4)


def measurement(metric: str, value: float, spread: float = 0.0) -> Measurement:
    return Measurement(metric, value, "u", value - spread, value + spread, samples=3, host=HOST)


def point(
    setting: Setting,
    ratio: float,
    *,
    spread: float = 0.01,
    latency: float = 50.0,
    agreed: bool = True,
    mended: bool = False,
) -> Point:
    """Return a point with that ratio to the reference's throughput."""
    found = (
        measurement("throughput", 10 * ratio),
        measurement("latency", latency),
        measurement("ratio", ratio, spread),
    )
    return Point(setting, Timing(*found, agreed=agreed, mended=mended))


REFERENCE = point(SPACE.reference, 1.0)
USUAL = point(SPACE.soonest, 0.5, latency=20.0)


def test_the_reference_setting_has_one_stream_per_core() -> None:
    assert SPACE.reference == Setting(batch=1, streams=4, threads=4, requests=8, pinning=True)
    assert SPACE.soonest == Setting(batch=1, streams=1, threads=4, requests=1, pinning=True)


@pytest.mark.parametrize(("cores", "steps"), [(1, (1,)), (2, (1, 2)), (6, (1, 2, 3, 4, 6)), (8, (1, 2, 4, 8))])
def test_thread_counts_are_powers_of_two_and_halves_of_the_cores(cores: int, steps: tuple[int, ...]) -> None:
    assert Space.for_cpu(cores).threads == steps


def test_lines_hold_each_setting_once_and_the_reference_first() -> None:
    lines = Space.for_cpu(2).lines
    assert lines[0] == Space.for_cpu(2).reference
    assert len(set(lines)) == len(lines)
    assert [at.batch for at in lines if at.streams == 2] == [1, 2, 4, 8, 16]
    assert sorted(at.threads for at in lines if at.requests == 1) == [1, 2]


def test_settings_for_an_accelerator_specify_no_threads() -> None:
    assert {at.threads for at in Space.for_accelerator().lines} == {0}


def test_the_fastest_point_that_beats_the_reference_by_its_interval_is_best() -> None:
    faster, fastest = point(Setting(2, 4, 4, 8), 1.1), point(Setting(4, 4, 4, 8), 1.2)
    unsure = point(Setting(8, 4, 4, 8), 1.5, spread=0.6)
    assert find_best([REFERENCE, USUAL, faster, fastest, unsure]) == fastest


@pytest.mark.parametrize(
    "other",
    [
        point(Setting(1, 2, 4, 4), 1.02, spread=0.03),
        point(Setting(1, 2, 4, 4), 1.5, agreed=False),
        point(Setting(1, 2, 4, 4, pinning=False), 1.5),
        point(Setting(2, 4, 4, 8), 1.5, mended=True),
        Point(Setting(2, 4, 4, 8), None, "no"),
    ],
    ids=["within its interval", "windows disagree", "pinning isn't the contract's", "mended", "not measured"],
)
def test_no_point_is_best_if_none_is_certainly_better(other: Point) -> None:
    assert find_best([REFERENCE, USUAL, other]) is None


def test_a_point_above_the_latency_limit_is_not_best() -> None:
    late, soon = point(Setting(8, 4, 4, 8), 1.5, latency=300), point(Setting(1, 2, 4, 4), 1.1, latency=30)
    assert find_best([REFERENCE, USUAL, late, soon], max_latency_ms=40) == soon


def test_latency_is_compared_with_that_of_one_picture_on_all_threads() -> None:
    sooner = point(Setting(1, 1, 2, 1), 0.5, latency=15)
    assert find_best([REFERENCE, USUAL, sooner], "latency") == sooner
    assert find_best([REFERENCE, USUAL, point(Setting(1, 1, 2, 1), 0.5, latency=25)], "latency") is None


def test_a_point_applied_to_a_configuration_keeps_device_and_precision() -> None:
    base = configure(device="AUTO", precision="bf16")
    found = point(Setting(4, 2, 2, 4), 1.0).apply_to(base)
    assert found == configure("AUTO", "throughput", "bf16", streams=2, threads=2, infer_requests=4, batch=4)
    assert Setting(1, 1, 2, 1).configuration(base).hint == "latency"


def test_the_json_of_a_point_has_its_numbers_or_null_with_a_note() -> None:
    written = REFERENCE.to_json()
    assert written["ratio"] == {"value": 1.0, "low": 0.99, "high": 1.01, "unit": "u", "samples": 3}
    setting = {"batch": 1, "streams": 4, "threads": 4, "requests": 8, "pinning": True}
    assert {name: written[name] for name in setting} == setting
    missing = Point(Setting(2, 4, 4, 8), None, "can't be reshaped").to_json()
    assert (missing["throughput"], missing["agreed"], missing["note"]) == (None, False, "can't be reshaped")


@pytest.mark.parametrize("fields", [{"batch": 0}, {"streams": 0}, {"requests": 0}, {"threads": -1}])
def test_a_setting_with_an_impossible_count_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Setting(**fields)


SETTINGS = st.builds(
    Setting,
    batch=st.sampled_from([1, 2, 4]),
    streams=st.integers(1, 4),
    threads=st.integers(1, 4),
    requests=st.integers(1, 8),
    pinning=st.booleans(),
)
POINTS = st.builds(
    point,
    SETTINGS,
    st.floats(0.1, 4.0),
    spread=st.floats(0.0, 0.09),
    latency=st.floats(1.0, 100.0),
    agreed=st.booleans(),
    mended=st.booleans(),
)


@given(st.lists(POINTS, max_size=12), st.sampled_from(["throughput", "latency"]), st.floats(1.0, 200.0))
def test_the_best_point_is_publishable_and_certainly_beats_the_default(
    others: list[Point], objective: str, limit_ms: float
) -> None:
    found = find_best([REFERENCE, USUAL, *others], objective, max_latency_ms=limit_ms)
    if found is None:
        return
    assert found in others
    assert found.publishable
    assert found.timing is not None
    assert found.timing.agreed
    assert found.timing.latency.high <= limit_ms
    if objective == "throughput":
        assert found.timing.ratio.low > 1
    else:
        assert found.timing.latency.high < 20


@given(st.integers(1, 64))
def test_a_space_uses_all_cores_and_no_more(cores: int) -> None:
    space = Space.for_cpu(cores)
    assert space.threads[0] == 1
    assert space.threads[-1] == cores
    assert list(space.threads) == sorted(set(space.threads))
    for setting in space.lines:
        assert setting.streams <= setting.threads <= cores
        assert setting.requests in (1, 2 * setting.streams)


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (REFERENCE, "batch 1, streams 4, threads 4, requests 8: 10 u [10, 10], 1.00 × the reference"),
        (
            point(Setting(2, 1, 1, 1, pinning=False), 2.0, agreed=False),
            "batch 2, streams 1, threads 1, requests 1, not pinned: 20 u [20, 20], 2.00 × the reference, "
            "windows disagree",
        ),
        (Point(Setting(), None, "its process died"), "batch 1, streams 1, threads 0, requests 1: its process died"),
    ],
)
def test_a_point_is_formatted_as_one_line(found: Point, says: str) -> None:
    assert str(found) == says
