"""The slot for the newest offer."""

import asyncio

from danmatte.client.latest_slot import LatestSlot


def offered(*numbers: int) -> LatestSlot:
    """Return a slot into which offers with these pts were put."""
    slot = LatestSlot()
    for number in numbers:
        slot.put(b"%d" % number, number)
    return slot


async def test_the_newest_is_taken_and_the_others_are_told() -> None:
    waiting = await offered(1, 2, 3).take()
    assert (waiting.message, waiting.pts, waiting.skipped) == (b"3", 3, (1, 2))


async def test_what_was_told_once_is_not_told_again() -> None:
    slot = offered(1, 2)
    await slot.take()
    slot.put(b"3", 3)
    assert (await slot.take()).skipped == ()


async def test_an_offer_is_waited_for() -> None:
    slot = LatestSlot()
    taking = asyncio.create_task(slot.take())
    await asyncio.sleep(0)
    assert not taking.done()
    slot.put(b"1", 1)
    assert (await taking).pts == 1


async def test_what_waits_at_the_end_is_still_taken() -> None:
    slot = offered(1)
    slot.close()
    assert not slot.is_over
    assert (await slot.take()).pts == 1
    assert slot.is_over
    assert await slot.take() is None


async def test_closing_lets_go_of_who_waits() -> None:
    slot = LatestSlot()
    taking = asyncio.create_task(slot.take())
    await asyncio.sleep(0)
    slot.close()
    assert await taking is None


async def test_who_stops_waiting_takes_nothing_along() -> None:
    slot = LatestSlot()
    taking = asyncio.create_task(slot.take())
    await asyncio.sleep(0)
    slot.put(b"1", 1)
    taking.cancel()
    await asyncio.wait([taking])
    assert (await slot.take()).pts == 1
