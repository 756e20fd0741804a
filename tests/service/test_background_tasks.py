"""Background tasks."""

import asyncio
import gc

import pytest

from danmatte.background_tasks import BackgroundTasks


async def test_what_nobody_awaits_is_done_all_the_same() -> None:
    tasks, done = BackgroundTasks(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        gc.collect()  # a task without a reference may be freed here
        done.set()

    tasks.start(work())
    async with asyncio.timeout(5):
        await done.wait()
    await tasks.end()


async def test_the_end_waits_for_what_it_cancels() -> None:
    tasks, begun, told = BackgroundTasks(), asyncio.Event(), list[str]()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            told.append("put away")

    tasks.start(work())
    await begun.wait()
    await tasks.end()
    assert told == ["put away"]


async def test_a_failure_is_logged_at_once_and_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    tasks, failing = BackgroundTasks(), asyncio.Event()

    async def fail() -> None:
        failing.set()
        raise ValueError("no such folder")

    tasks.start(fail())
    await failing.wait()
    await asyncio.sleep(0)
    assert "fail" in caplog.text
    assert "no such folder" in caplog.text
    await tasks.end()
