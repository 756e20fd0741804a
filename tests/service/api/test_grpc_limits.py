"""Limits on long-lived calls, without a server: number, idle time, and order of responses."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest

from danmatte.api.grpc.limits import CapacityLimiter, EndableReader, answer_ahead
from danmatte.errors import DrainingError, QueueFullError


async def send(items: Iterable[int], then: asyncio.Event | None = None) -> AsyncIterator[int]:
    """Yield requests, then wait for the event."""
    for item in items:
        yield item
    if then:
        await then.wait()


def test_a_limiter_frees_its_places_after_an_exception() -> None:
    limiter = CapacityLimiter(2, "streams")

    def fill_and_fail() -> None:
        with limiter.take(), limiter.take():
            with pytest.raises(QueueFullError, match="all 2 streams are in use"), limiter.take():
                pytest.fail("a third")
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            fill_and_fail()


async def test_a_reader_yields_all_requests_of_a_finished_stream() -> None:
    assert [request async for request in EndableReader(send(range(5)), idle_s=5).read()] == [0, 1, 2, 3, 4]


async def test_a_reader_ends_without_an_error_when_the_stream_is_idle() -> None:
    reader = EndableReader(send([1], then=asyncio.Event()), idle_s=0.02)
    async with asyncio.timeout(5):
        assert [request async for request in reader.read()] == [1]
    assert reader.why is None


@pytest.mark.parametrize("waits", [True, False])
async def test_an_ended_reader_stops_and_keeps_the_first_reason(waits: bool) -> None:
    reader = EndableReader(send([1, 2], then=asyncio.Event()), idle_s=5)
    read: list[int] = []
    async with asyncio.timeout(5):
        async for request in reader.read():
            read.append(request)
            if request == (2 if waits else 1):
                asyncio.get_running_loop().call_soon(reader.end, DrainingError("going"))
                if not waits:
                    await asyncio.sleep(0.01)
    reader.end(QueueFullError("later"))
    assert read == ([1, 2] if waits else [1])
    assert isinstance(reader.why, DrainingError)


async def test_responses_keep_request_order_whichever_is_ready_first() -> None:
    last = asyncio.Event()

    async def answer(request: int) -> int:
        if request == 3:
            last.set()
        await last.wait()
        return 10 * request

    async with answer_ahead(send(range(4)), answer) as answers:
        assert [each async for each in answers] == [0, 10, 20, 30]


async def test_the_number_of_requests_read_ahead_is_limited() -> None:
    begun: list[int] = []

    async def answer(request: int) -> int:
        begun.append(request)
        return request

    async with answer_ahead(send(range(100)), answer) as answers:
        assert await anext(answers) == 0
        for _ in range(50):
            await asyncio.sleep(0)
        assert 8 <= len(begun) <= 9
        assert [each async for each in answers] == list(range(1, 100))


async def test_pending_work_is_cancelled_when_the_consumer_leaves() -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def answer(request: int) -> int:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return request

    async with answer_ahead(send([1]), answer):
        await begun.wait()
    assert left.is_set()


async def test_the_exception_of_a_failed_response_reaches_the_consumer() -> None:
    async def answer(request: int) -> float:
        return 1 / request

    async with answer_ahead(send([1, 0, 2]), answer) as answers:
        assert await anext(answers) == 1
        with pytest.raises(ZeroDivisionError):
            await anext(answers)
