"""One run over a library: its units to an executor, and their results as they come."""

from collections.abc import Iterator

from danmatte.library.executor import Executor
from danmatte.library.inventory import Inventory
from danmatte.library.progress import LibraryProgress
from danmatte.library.result import UnitResult

_LOOK_S = 0.5  # how often the progress is looked at while nothing ends


def run_units(inventory: Inventory, executor: Executor, progress: LibraryProgress) -> Iterator[UnitResult]:
    """Has every unit made that isn't finished; no more are under way than the executor has room for.

    Raises ServiceError.
    """
    under_way = 0
    for unit, finished in inventory:
        if finished:
            yield UnitResult(
                "kept",
                unit.video,
                unit.name_track(inventory.library.suffix),
                part=unit.part,
                size_bytes=unit.share_bytes,
                verdict=inventory.library.name_verdict(unit),
            )
            continue
        while under_way >= executor.capacity:
            yield _wait(executor, progress)
            under_way -= 1
        executor.submit(unit)
        under_way += 1
    for _ in range(under_way):
        yield _wait(executor, progress)


def _wait(executor: Executor, progress: LibraryProgress) -> UnitResult:
    while (result := executor.wait(_LOOK_S)) is None:
        progress.look()
    progress.step(result)
    return result
