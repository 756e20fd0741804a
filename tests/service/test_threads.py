"""What a thread takes, in which order it works, and what becomes of who leaves."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from service.metrics import Timing
from service.threads import Threads

Made = Callable[[int], Threads]
SOON_S = 10.0


class Diary:
    """Jobs whose phases write down when they begin; the first one's wait until the gate opens."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.began, self.gate = threading.Event(), threading.Event()

    def phases(self, name: str) -> dict[str, Callable[[Any], Any]]:
        def phase(called: str) -> Callable[[Any], Any]:
            def work(given: str | None) -> str:
                self.written.append(called + name)
                self.began.set()
                if name == "0":
                    assert self.gate.wait(SOON_S)
                return (given or "") + called

            return work

        return {called: phase(called) for called in "dei"}


@pytest.fixture
def threads() -> Iterator[Made]:
    """Threads that are closed in the end."""
    made: list[Threads] = []

    def make(count: int) -> Threads:
        made.append(Threads(count))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def begun(threads: Threads, diary: Diary, jobs: int) -> list[asyncio.Future[str]]:
    """So many jobs in the line, the first in work."""
    tasks = []
    for number in range(jobs):
        tasks.append(threads.run(Timing(), **diary.phases(str(number))))
        if number == 0:
            await asyncio.to_thread(diary.began.wait, SOON_S)
    return tasks


async def test_each_phase_is_given_what_the_one_before_made(threads: Made) -> None:
    assert await threads(1).run(Timing(), one=lambda none: [none], two=lambda given: [*given, 2]) == [None, 2]


async def test_what_piles_up_is_done_in_pairs_a_phase_of_both_after_the_other(
    threads: Made,
) -> None:
    diary = Diary()
    tasks = await begun(threads(1), diary, 5)
    diary.gate.set()
    assert await asyncio.gather(*tasks) == ["dei"] * 5
    pairs = ["d1", "d2", "e1", "e2", "i1", "i2", "d3", "d4", "e3", "e4", "i3", "i4"]
    assert diary.written == ["d0", "e0", "i0", *pairs]


async def test_a_pair_is_taken_only_if_every_other_thread_finds_work_after_it(
    threads: Made,
) -> None:
    for waiting, paired in ((2, False), (3, True)):
        both, diary = threads(2), Diary()
        held = await begun(both, diary, 1)
        other = Diary()
        held += await begun(both, other, 1)
        late = [both.run(Timing(), **diary.phases(f"{n}")) for n in range(1, 1 + waiting)]
        diary.gate.set()
        await asyncio.gather(held[0], *late)
        assert (diary.written.index("d2") < diary.written.index("e1")) is paired
        other.gate.set()
        await asyncio.gather(*held)


async def test_one_that_fails_leaves_the_other_of_its_pair_alone(threads: Made) -> None:
    diary, only = Diary(), threads(1)
    tasks = await begun(only, diary, 1)

    def fails(given: object) -> None:
        raise ZeroDivisionError("no")

    bad = only.run(Timing(), d=fails, e=lambda given: pytest.fail("went on"))
    good = [only.run(Timing(), **diary.phases(str(number))) for number in (1, 2)]
    diary.gate.set()
    with pytest.raises(ZeroDivisionError, match="no"):
        await bad
    assert await asyncio.gather(*tasks, *good) == ["dei"] * 3


async def test_a_stop_iteration_reaches_its_caller_as_a_runtime_error(threads: Made) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await threads(1).run(Timing(), d=lambda _: next(iter(())))


async def test_nothing_is_begun_for_who_left(threads: Made) -> None:
    diary = Diary()
    first, second, third = await begun(threads(1), diary, 3)
    first.cancel()
    second.cancel()
    diary.gate.set()
    assert await third == "dei"
    assert diary.written == ["d0", "d2", "e2", "i2"]


async def test_all_waits_are_the_queue_phase(threads: Made) -> None:
    diary, timing, only = Diary(), Timing(), threads(1)
    tasks = await begun(only, diary, 1)
    waiting = only.run(timing, d=lambda _: None, e=lambda _: None)
    await asyncio.sleep(0.02)
    diary.gate.set()
    await asyncio.gather(waiting, *tasks)
    assert timing.phases_ms.keys() == {"queue", "d", "e"}
    assert timing.phases_ms["queue"] >= 20
    ends = [end for _, _, end in timing.spans]
    starts = [begin for _, begin, _ in timing.spans]
    assert all(begin - end < 0.01 for end, begin in zip(ends, starts[1:], strict=False))


async def test_a_failure_leaves_nothing_for_the_garbage_collector(threads: Made) -> None:
    class Frame:
        pass

    async def failed() -> weakref.ref[Frame]:
        frame = Frame()

        def work(_: None, held: Frame = frame) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await threads(1).run(Timing(), work=work)
        return weakref.ref(frame)

    gc.disable()
    try:
        frame = await failed()
        for _ in range(1000):  # the thread lets go of its last job a moment later
            if frame() is None:
                break
            await asyncio.sleep(0.001)
        assert frame() is None
    finally:
        gc.enable()


async def test_what_is_in_the_line_when_it_closes_is_done(threads: Made) -> None:
    diary, two = Diary(), threads(2)
    tasks = await begun(two, diary, 6)
    two.close()
    diary.gate.set()
    assert await asyncio.wait_for(asyncio.gather(*tasks), SOON_S) == ["dei"] * 6
    for thread in two._threads:
        await asyncio.to_thread(thread.join, SOON_S)
        assert not thread.is_alive()
