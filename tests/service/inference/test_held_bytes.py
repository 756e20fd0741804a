"""Bodies and responses in memory share one limit; at the limit, the caller that holds most is evicted first."""

import asyncio
from collections.abc import Callable

import pytest

from danmatte.errors import QueueFullError
from danmatte.inference import admission as module
from danmatte.inference.admission import Admission


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that advances the clock."""
    times = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: times[0])

    def go(seconds: float) -> None:
        times[0] += seconds

    return go


def build(max_bytes: int = 100, queue: int = 9) -> Admission:
    """Return a small admission."""
    return Admission(queue=queue, in_flight=9, deadline_s=5, max_bytes=max_bytes)


class Answer:
    """A response that its client doesn't read; `evicted` is set when the server aborts it."""

    def __init__(self, admission: Admission, caller: str, count: int) -> None:
        self.evicted = asyncio.Event()
        self._place = admission.place(caller)
        self._count = count

    async def __aenter__(self) -> "Answer":
        await self._place.__aenter__()
        self._place.hold(self._count)
        self._sending = self._place.send(self.evicted.set)
        self._sending.__enter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sending.__exit__(None, None, None)
        await self._place.__aexit__(None, None, None)


async def test_held_bytes_are_released_explicitly_and_with_the_place() -> None:
    admission = build()
    async with admission.place("a") as place:
        place.hold(60)
        place.hold(30)
        place.release(60)
        assert admission.held_bytes == 30
        place.release(1000)
        assert admission.held_bytes == 0
        place.hold(70)
    assert admission.held_bytes == 0


async def test_holding_more_bytes_than_the_limit_is_refused_naming_the_setting() -> None:
    admission = build()
    async with admission.place("a") as first, admission.place("a") as second:
        first.hold(60)
        with pytest.raises(QueueFullError, match="100 bytes \\(max_bytes_under_way\\)"):
            second.hold(60)
        second.hold(40)
        assert admission.held_bytes == 100


async def test_a_single_request_may_hold_more_than_the_limit() -> None:
    admission = build()
    async with admission.place("a") as place:
        place.hold(60)
        place.hold(500)
        assert admission.held_bytes == 560


async def test_an_unread_response_is_evicted_even_for_its_own_caller(now: Callable[[float], None]) -> None:
    admission = build()
    async with Answer(admission, "a", 60) as unread, admission.place("a") as place:
        with pytest.raises(QueueFullError):
            place.hold(60)
        now(1.5)
        place.hold(60)
        assert unread.evicted.is_set()
        assert admission.held_bytes == 60


async def test_of_unread_responses_the_oldest_of_the_heaviest_caller_is_evicted(
    now: Callable[[float], None],
) -> None:
    admission = build()
    async with Answer(admission, "a", 20) as oldest:
        now(1)
        async with Answer(admission, "b", 40) as older, Answer(admission, "b", 40) as newer:
            now(2)
            async with admission.place("c") as place:
                place.hold(10)
            assert [each.evicted.is_set() for each in (oldest, older, newer)] == [False, True, False]


async def test_the_heaviest_callers_response_is_evicted_at_once_for_a_lighter_caller() -> None:
    admission = build()
    async with Answer(admission, "greedy", 90) as answer, admission.place("modest") as place:
        place.hold(20)
        assert answer.evicted.is_set()


async def test_the_heaviest_callers_arriving_body_is_evicted_for_a_lighter_caller() -> None:
    admission = build()

    async def arrive() -> None:
        async with admission.place("greedy") as place:
            place.hold(90)
            await asyncio.Event().wait()

    body = asyncio.create_task(arrive())
    await asyncio.sleep(0)
    async with admission.place("modest") as place:
        place.hold(20)
        with pytest.raises(QueueFullError):
            await body
        assert admission.held_bytes == 20


async def test_a_pause_between_writes_does_not_count_as_unread(now: Callable[[float], None]) -> None:
    admission = build()
    async with admission.place("a") as place, admission.place("a") as other:
        place.hold(60)
        with place.send(lambda: pytest.fail("evicted")):
            pass
        now(60)
        with pytest.raises(QueueFullError):
            other.hold(60)


async def test_an_unread_response_is_evicted_if_all_places_are_taken(now: Callable[[float], None]) -> None:
    admission = build(queue=2)
    async with Answer(admission, "a", 1) as older, Answer(admission, "a", 1) as newer:
        with pytest.raises(QueueFullError, match="places"):
            async with admission.place("a"):
                pass
        now(1.5)
        async with admission.place("a"):
            assert older.evicted.is_set()
            assert not newer.evicted.is_set()
            assert admission.occupied == 2


async def test_bytes_held_by_an_evicted_request_no_longer_count(now: Callable[[float], None]) -> None:
    admission = build(queue=1)
    async with Answer(admission, "a", 50) as unread:
        now(1.5)
        async with admission.place("b") as place:
            place.hold(10)
            unread._place.hold(500)
            unread._place.release(5)
            assert admission.held_bytes == 10
