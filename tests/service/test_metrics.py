"""Phases and how they are written."""

import re

import pytest

from service.metrics import Metrics, Timing


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


def test_a_thread_may_add_a_phase_while_the_others_are_counted() -> None:
    timing, metrics = Timing(), Metrics()
    timing.spend("queue", 1.0)
    for name in timing.phases_ms:
        timing.spend(f"after {name}", 1.0)
    metrics.timed(timing)
    assert list(timing.phases_ms) == ["queue", "after queue"]
