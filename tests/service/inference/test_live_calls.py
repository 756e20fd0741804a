"""Live connections and streams: shared fairly, replaced when idle, closed when their key is revoked."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from danmatte.errors import DrainingError, QueueFullError, ServiceError, UnauthorizedError
from danmatte.inference import live_calls as module
from danmatte.inference.live_calls import LiveCall, LiveCalls


class Crowd:
    """Opens connections, and records why each ended."""

    def __init__(self, limit: int) -> None:
        self.calls, self.stack = LiveCalls(limit), ExitStack()
        self.ended: dict[str, ServiceError] = {}

    def open(self, name: str, is_valid: Callable[[], bool] = lambda: True) -> LiveCall:
        """Open a connection for the caller named by the first letter."""
        return self.stack.enter_context(self.calls.open(name[0], lambda why: self.ended.update({name: why}), is_valid))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a clock that the test sets."""
    times = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: times[0])
    return times


def test_live_calls_are_limited_and_released() -> None:
    crowd = Crowd(2)
    with crowd.stack:
        crowd.open("a1"), crowd.open("b1")
        with pytest.raises(
            QueueFullError, match="all 2 live connections and streams are in use \\(live_connections\\)"
        ):
            crowd.open("c1")
    assert len(crowd.calls) == 0
    assert not crowd.ended


def test_one_caller_cannot_occupy_all_live_calls(now: list[float]) -> None:
    crowd = Crowd(4)
    with crowd.stack:
        for number in range(4):
            crowd.open(f"a{number}")
            now[0] += 1
        with pytest.raises(QueueFullError):  # a caller can't replace its own connections while they are in use
            crowd.open("a4")
        crowd.open("b0")
        crowd.open("b1")
        assert list(crowd.ended) == ["a0", "a1"]
        assert isinstance(crowd.ended["a0"], QueueFullError)
        with pytest.raises(QueueFullError):
            crowd.open("b2")
        crowd.open("c0")
        assert len(crowd.calls) == 4


def test_an_idle_call_is_evicted_for_any_caller_and_a_used_one_is_not(now: list[float]) -> None:
    crowd = Crowd(2)
    with crowd.stack:
        used = crowd.open("a0")
        crowd.open("a1")
        now[0] += 11
        used.note_use()
        crowd.open("a2")
        assert list(crowd.ended) == ["a1"]


def test_of_idle_calls_the_oldest_of_the_heaviest_caller_is_evicted_first(now: list[float]) -> None:
    crowd = Crowd(3)
    with crowd.stack:
        crowd.open("a0")
        now[0] += 1
        crowd.open("b0")
        now[0] += 1
        crowd.open("b1")
        now[0] += 11
        crowd.open("c0")
        assert list(crowd.ended) == ["b0"]


def test_calls_opened_with_a_revoked_key_are_ended() -> None:
    crowd, valid = Crowd(4), {"a"}
    with crowd.stack:
        crowd.open("a0", lambda: "a" in valid)
        crowd.open("b0")
        crowd.calls.end_revoked()
        assert not crowd.ended
        valid.clear()
        crowd.calls.end_revoked()
        assert list(crowd.ended) == ["a0"]
        assert isinstance(crowd.ended["a0"], UnauthorizedError)


def test_all_calls_are_ended_with_a_draining_error_at_shutdown() -> None:
    crowd = Crowd(4)
    with crowd.stack:
        crowd.open("a0"), crowd.open("b0")
        crowd.calls.end_all()
    assert {type(why) for why in crowd.ended.values()} == {DrainingError}
