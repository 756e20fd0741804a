"""Timing of phases, their header, and the sum of concurrent parts."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte.telemetry.timing import PHASES, Timing

SPANS = st.lists(
    st.tuples(st.sampled_from(PHASES), st.integers(0, 20), st.integers(0, 20)).map(
        lambda drawn: (drawn[0], min(drawn[1:]), max(drawn[1:]))
    ),
    max_size=8,
)


def test_phases_are_written_as_server_timing() -> None:
    timing = Timing()
    for name in ("queue", "decode", "queue"):
        with timing.phase(name):
            pass
    assert re.fullmatch(r"queue;dur=\d+\.\d\d, decode;dur=\d+\.\d\d", str(timing))


def test_a_phase_that_failed_is_counted() -> None:
    timing = Timing()
    with pytest.raises(ZeroDivisionError), timing.phase("decode"):
        raise ZeroDivisionError
    assert timing.phases_ms["decode"] >= 0


def test_a_moment_of_concurrent_phases_counts_for_the_most_important_one() -> None:
    whole, parts = Timing(), [Timing(), Timing(), Timing()]
    parts[0].spans += [("queue", 0, 1), ("decode", 1, 2), ("infer", 2, 5)]
    parts[1].spans += [("queue", 0, 3), ("decode", 3, 6), ("infer", 6, 7)]
    parts[2].spans += [("encode", 6.5, 8)]
    whole.gather(parts)
    assert whole.phases_ms == {"infer": 4000, "decode": 2000, "encode": 1000, "queue": 1000}
    assert len(whole.spans) == 7


def test_time_since_a_given_moment_is_added_with_its_span() -> None:
    timing, began = Timing(), time.perf_counter()
    timing.add("infer", since=began)
    timing.add("infer", since=began)
    ((name, begin, end), (_, _, later)) = timing.spans
    assert (name, begin) == ("infer", began)
    assert timing.phases_ms["infer"] == pytest.approx(1e3 * (end - began + later - began))


@given(st.lists(SPANS, max_size=4))
def test_combined_phases_count_every_moment_once(parts: list[list[tuple[str, float, float]]]) -> None:
    timings = [Timing() for _ in parts]
    for timing, spans in zip(timings, parts, strict=True):
        timing.spans += spans
    whole = Timing()
    whole.gather(timings)
    everything = [span for spans in parts for span in spans]
    covered = {moment for _, began, ended in everything for moment in range(int(began), int(ended))}
    assert sum(whole.phases_ms.values()) == pytest.approx(1e3 * len(covered))
    inferring = {moment for name, began, ended in everything for moment in range(began, ended) if name == "infer"}
    assert whole.phases_ms.get("infer", 0.0) == pytest.approx(1e3 * len(inferring))
    assert whole.spans == everything


def test_the_phases_of_a_timing_are_returned_as_a_copy() -> None:
    timing = Timing()
    timing.spend("queue", 1.0)
    timing.phases_ms["queue"] = 9.0
    assert timing.phases_ms == {"queue": 1.0}
