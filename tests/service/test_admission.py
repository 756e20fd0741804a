"""Places, turns and deadlines, without a server."""

import asyncio

import pytest

from service.admission import Admission
from service.errors import DeadlineError, DrainingError, QueueFullError
from service.metrics import Timing


def admission(**given: float) -> Admission:
    """A small one."""
    return Admission(**({"queue": 2, "in_flight": 1, "deadline_s": 5} | given))


async def test_places_are_limited_and_given_back() -> None:
    door = admission(queue=1)
    async with door.place():
        with pytest.raises(QueueFullError, match="all 1 places"):
            async with door.place():
                pass
    async with door.place():
        assert door.inside == 1
    assert door.inside == 0


async def test_a_failure_gives_the_place_and_the_turn_back() -> None:
    door = admission()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with door.place(), door.turn(Timing()):
                raise ZeroDivisionError
    assert door.inside == 0


async def test_turns_are_taken_in_order() -> None:
    door, order = admission(), []

    async def take(name: int) -> None:
        async with door.turn(Timing()):
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*(take(name) for name in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_who_leaves_the_line_holds_nobody_up() -> None:
    door = admission()
    async with door.turn(Timing()):
        waiting = asyncio.create_task(door.turn(Timing()).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
    async with asyncio.timeout(1), door.turn(Timing()):
        pass


async def test_the_wait_for_a_turn_is_the_queue_phase() -> None:
    door, timing = admission(), Timing()
    async with door.turn(Timing()):
        waiting = asyncio.create_task(door.turn(timing).__aenter__())
        await asyncio.sleep(0.05)
    await waiting
    assert timing.phases_ms["queue"] >= 40


async def test_the_deadline_counts_the_wait() -> None:
    door = admission(deadline_s=0.05)
    async with door.turn(Timing()):
        with pytest.raises(DeadlineError, match=r"0\.05 s"):
            async with door.deadline(), door.turn(Timing()):
                pass


async def test_a_timeout_of_the_block_itself_is_left_alone() -> None:
    with pytest.raises(TimeoutError):
        async with admission().deadline():
            raise TimeoutError


async def test_an_empty_house_is_drained_at_once() -> None:
    door = admission()
    assert await door.drain(1)
    with pytest.raises(DrainingError):
        async with door.place():
            pass


async def test_draining_waits_for_those_inside() -> None:
    door = admission()
    async with door.place():
        assert not await door.drain(0.05)
    assert await door.drain(0.05)
