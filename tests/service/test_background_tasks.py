"""Background tasks."""

import asyncio
import gc

import pytest

from danmatte.background_tasks import BackgroundTasks


async def test_a_task_that_is_not_awaited_is_not_garbage_collected() -> None:
    tasks, done = BackgroundTasks(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        gc.collect()  # a task without a reference may be freed here
        done.set()

    tasks.start(work())
    async with asyncio.timeout(5):
        await done.wait()
    await tasks.end()


async def test_ending_waits_for_cancelled_tasks() -> None:
    tasks, begun, finished = BackgroundTasks(), asyncio.Event(), list[str]()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            finished.append("cleaned up")

    tasks.start(work())
    await begun.wait()
    await tasks.end()
    assert finished == ["cleaned up"]


async def test_a_failed_task_is_logged_immediately(caplog: pytest.LogCaptureFixture) -> None:
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
