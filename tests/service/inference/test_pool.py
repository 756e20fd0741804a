"""Which jobs a thread takes, in which order it runs them, and what happens to cancelled ones."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from danmatte.inference.pool import PhasePool, Phases
from danmatte.telemetry.timing import Timing

Made = Callable[[int], PhasePool]
SOON_S = 10.0


class Diary:
    """Jobs that record the start of each phase; the first job waits until the gate opens."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.began, self.gate = threading.Event(), threading.Event()

    def phases(self, name: str) -> Phases[str]:
        def phase(called: str) -> Callable[[Any], Any]:
            def work(given: str | None) -> str:
                self.written.append(called + name)
                self.began.set()
                if name == "0":
                    assert self.gate.wait(SOON_S)
                return (given or "") + called

            return work

        decode, encode, infer = (phase(called) for called in "dei")
        return Phases("d", lambda: decode(None)).then("e", encode).then("i", infer)


def phases(**works: Callable[[Any], Any]) -> Phases[Any]:
    """Return phases that run in this order, by their names; the first is called with None."""
    (name, first), *rest = works.items()
    found = Phases(name, lambda: first(None))
    for name, work in rest:
        found = found.then(name, work)
    return found


@pytest.fixture
def threads() -> Iterator[Made]:
    """Yield a function that makes pools, which are closed at the end."""
    made: list[PhasePool] = []

    def make(count: int) -> PhasePool:
        made.append(PhasePool(count))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def begun(pool: PhasePool, diary: Diary, jobs: int) -> list[asyncio.Future[str]]:
    """Queue this many jobs, of which the first is running."""
    tasks = []
    for number in range(jobs):
        tasks.append(pool.run(Timing(), diary.phases(str(number))))
        if number == 0:
            await asyncio.to_thread(diary.began.wait, SOON_S)
    return tasks


async def test_each_phase_gets_the_result_of_the_previous_one(threads: Made) -> None:
    assert await threads(1).run(Timing(), phases(one=lambda none: [none], two=lambda given: [*given, 2])) == [None, 2]


async def test_queued_jobs_run_in_pairs_with_their_phases_interleaved(threads: Made) -> None:
    diary = Diary()
    tasks = await begun(threads(1), diary, 5)
    diary.gate.set()
    assert await asyncio.gather(*tasks) == ["dei"] * 5
    pairs = ["d1", "d2", "e1", "e2", "i1", "i2", "d3", "d4", "e3", "e4", "i3", "i4"]
    assert diary.written == ["d0", "e0", "i0", *pairs]


async def test_a_pair_is_taken_only_if_work_remains_for_every_other_thread(threads: Made) -> None:
    for waiting, paired in ((2, False), (3, True)):
        both, diary = threads(2), Diary()
        held = await begun(both, diary, 1)
        other = Diary()
        held += await begun(both, other, 1)
        late = [both.run(Timing(), diary.phases(f"{n}")) for n in range(1, 1 + waiting)]
        diary.gate.set()
        await asyncio.gather(held[0], *late)
        assert (diary.written.index("d2") < diary.written.index("e1")) is paired
        other.gate.set()
        await asyncio.gather(*held)


async def test_a_failed_job_does_not_affect_the_other_of_its_pair(threads: Made) -> None:
    diary, only = Diary(), threads(1)
    tasks = await begun(only, diary, 1)

    def fails(given: object) -> None:
        raise ZeroDivisionError("no")

    bad = only.run(Timing(), phases(d=fails, e=lambda given: pytest.fail("continued")))
    good = [only.run(Timing(), diary.phases(str(number))) for number in (1, 2)]
    diary.gate.set()
    with pytest.raises(ZeroDivisionError, match="no"):
        await bad
    assert await asyncio.gather(*tasks, *good) == ["dei"] * 3


async def test_a_stop_iteration_reaches_its_caller_as_a_runtime_error(threads: Made) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads(1).run(Timing(), phases(d=lambda _: next(iter(()))))


async def test_phases_of_cancelled_jobs_are_not_started(threads: Made) -> None:
    diary = Diary()
    first, second, third = await begun(threads(1), diary, 3)
    first.cancel()
    second.cancel()
    diary.gate.set()
    assert await third == "dei"
    assert diary.written == ["d0", "d2", "e2", "i2"]


async def test_waiting_for_a_thread_is_measured_as_the_queue_phase(threads: Made) -> None:
    diary, timing, only = Diary(), Timing(), threads(1)
    tasks = await begun(only, diary, 1)
    waiting = only.run(timing, phases(d=lambda _: None, e=lambda _: None))
    await asyncio.sleep(0.02)
    diary.gate.set()
    await asyncio.gather(waiting, *tasks)
    assert timing.phases_ms.keys() == {"queue", "d", "e"}
    assert timing.phases_ms["queue"] >= 20
    assert [name for name, _, _ in timing.spans] == ["queue", "d", "e"]


async def test_waiting_for_the_other_of_a_pair_is_measured_as_the_queue_phase(threads: Made) -> None:
    diary, timings, only = Diary(), [Timing(), Timing()], threads(1)
    tasks = await begun(only, diary, 1)
    tasks += [only.run(timing, phases(d=lambda _: time.sleep(0.02), e=lambda _: None)) for timing in timings]
    tasks.append(only.run(Timing(), phases(d=lambda _: None)))
    diary.gate.set()
    await asyncio.gather(*tasks)
    for timing in timings:
        assert [name for name, _, _ in timing.spans] == ["queue", "d", "queue", "e"]
    *_, waited, _ = timings[0].spans
    assert waited[2] - waited[1] >= 0.02


async def test_a_job_that_finishes_first_does_not_wait_for_the_other_of_its_pair(threads: Made) -> None:
    for short in ({"d": lambda _: "done"}, {"d": lambda _: 1 / 0, "e": lambda _: pytest.fail("continued")}):
        diary, only, going = Diary(), threads(1), threading.Event()
        tasks = await begun(only, diary, 1)
        tasks.append(only.run(Timing(), phases(d=lambda _: None, e=lambda _, going=going: going.wait(SOON_S))))
        quick = only.run(Timing(), phases(**short))
        tasks.append(only.run(Timing(), phases(d=lambda _: None)))
        diary.gate.set()
        done, _ = await asyncio.wait([quick], timeout=SOON_S / 2)
        assert done
        quick.exception()
        assert not tasks[1].done()
        going.set()
        await asyncio.gather(*tasks)


async def test_a_failed_job_is_freed_without_garbage_collection(threads: Made) -> None:
    class Frame:
        pass

    async def failed() -> weakref.ref[Frame]:
        frame = Frame()

        def work(_: None, held: Frame = frame) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await threads(1).run(Timing(), phases(work=work))
        return weakref.ref(frame)

    gc.disable()
    try:
        frame = await failed()
        for _ in range(1000):  # the thread drops its reference to the last job a moment later
            if frame() is None:
                break
            await asyncio.sleep(0.001)
        assert frame() is None
    finally:
        gc.enable()


async def test_closing_a_pool_finishes_its_queued_jobs_and_refuses_new_ones(threads: Made) -> None:
    diary, two = Diary(), threads(2)
    tasks = await begun(two, diary, 6)
    closing = asyncio.create_task(asyncio.to_thread(two.close))
    diary.gate.set()
    assert await asyncio.wait_for(asyncio.gather(*tasks), SOON_S) == ["dei"] * 6
    await closing
    with pytest.raises(RuntimeError, match="closed"):
        two.run(Timing(), phases(d=lambda _: None))
    assert not any(thread.is_alive() for thread in two._threads)
