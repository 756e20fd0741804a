"""The slot for the newest offer."""

import asyncio

from danmatte.client.latest_slot import LatestSlot


def fill_slot(*numbers: int) -> LatestSlot:
    """Return a slot into which offers with these pts were put."""
    slot = LatestSlot()
    for number in numbers:
        slot.put(b"%d" % number, number)
    return slot


async def test_the_newest_offer_is_taken_and_older_ones_are_reported_as_skipped() -> None:
    waiting = await fill_slot(1, 2, 3).take()
    assert (waiting.message, waiting.pts, waiting.skipped) == (b"3", 3, (1, 2))


async def test_skipped_offers_are_reported_once() -> None:
    slot = fill_slot(1, 2)
    await slot.take()
    slot.put(b"3", 3)
    assert (await slot.take()).skipped == ()


async def test_take_waits_for_an_offer() -> None:
    slot = LatestSlot()
    taking = asyncio.create_task(slot.take())
    await asyncio.sleep(0)
    assert not taking.done()
    slot.put(b"1", 1)
    assert (await taking).pts == 1


async def test_an_offer_waiting_at_close_is_still_taken() -> None:
    slot = fill_slot(1)
    slot.close()
    assert not slot.is_over
    assert (await slot.take()).pts == 1
    assert slot.is_over
    assert await slot.take() is None


async def test_closing_wakes_a_waiting_take() -> None:
    slot = LatestSlot()
    taking = asyncio.create_task(slot.take())
    await asyncio.sleep(0)
    slot.close()
    assert await taking is None


async def test_a_cancelled_take_loses_no_offer() -> None:
    slot = LatestSlot()
    taking = asyncio.create_task(slot.take())
    await asyncio.sleep(0)
    slot.put(b"1", 1)
    taking.cancel()
    await asyncio.wait([taking])
    assert (await slot.take()).pts == 1
