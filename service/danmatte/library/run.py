"""One run over a library: submitting its units to an executor and yielding their results."""

from collections.abc import Iterator

from danmatte.library.executor import Executor
from danmatte.library.inventory import Inventory
from danmatte.library.progress import LibraryProgress
from danmatte.library.result import UnitResult

_LOOK_S = 0.5  # how often the progress line is updated while no unit finishes


def run_units(inventory: Inventory, executor: Executor, progress: LibraryProgress) -> Iterator[UnitResult]:
    """Make every unfinished unit and yield the results; at most `executor.capacity` units are submitted at a time.

    Raises ServiceError.
    """
    submitted = 0
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
        while submitted >= executor.capacity:
            yield _wait(executor, progress)
            submitted -= 1
        executor.submit(unit)
        submitted += 1
    for _ in range(submitted):
        yield _wait(executor, progress)


def _wait(executor: Executor, progress: LibraryProgress) -> UnitResult:
    while (result := executor.wait(_LOOK_S)) is None:
        progress.look()
    progress.step(result)
    return result
