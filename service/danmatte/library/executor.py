"""Executors, which run several units at once: in this machine's workers, or on the nodes of a cluster."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from queue import Empty, SimpleQueue

from danmatte.contract.cores import count_cores, split_cpus
from danmatte.errors import InvalidParameterError
from danmatte.library.isolation import IsolatedMaker, Setup
from danmatte.library.library import Library, Unit
from danmatte.library.result import UnitResult
from danmatte.library.supervisor import UnitSupervisor
from danmatte.tracks.batch import CORES_A_VIDEO


class Executor(ABC):
    """An executor of units, which returns results in any order; at most `capacity` units may be submitted at a time."""

    capacity: int

    @abstractmethod
    def submit(self, unit: Unit) -> None:
        """Start making a unit."""

    @abstractmethod
    def wait(self, patience_s: float) -> UnitResult | None:
        """Return the next result, or None after `patience_s` seconds. Raises ServiceError if no unit can be made."""

    @abstractmethod
    def close(self) -> None:
        """Stop all unfinished units."""


def make_supervisors(library: Library, version: int, workers: int = 0) -> list[UnitSupervisor]:
    """Return a supervisor for each worker of this machine, each worker on separate cores.

    0 workers choose the number by the cores. Raises InvalidParameterError.
    """
    cores = count_cores()
    workers = workers or max(1, cores // CORES_A_VIDEO)
    if not 1 <= workers <= cores:
        raise InvalidParameterError(f"workers: expected 1 to {cores}, one per core, received {workers}")
    setups = [Setup(library, version, cpus) for cpus in split_cpus(workers)]
    return [UnitSupervisor(library, IsolatedMaker(setup)) for setup in setups]


class LocalExecutor(Executor):
    """An executor with a thread for each of this machine's workers."""

    def __init__(self, supervisors: Sequence[UnitSupervisor]) -> None:
        self.capacity = len(supervisors) + 1  # one unit is queued, so that no worker waits for the next one
        self._units: SimpleQueue[Unit | None] = SimpleQueue()
        self._results: SimpleQueue[UnitResult | BaseException] = SimpleQueue()
        self._supervisors = supervisors
        self._threads = [threading.Thread(target=self._serve, args=(each,)) for each in supervisors]
        for thread in self._threads:
            thread.start()

    def submit(self, unit: Unit) -> None:
        self._units.put(unit)

    def wait(self, patience_s: float) -> UnitResult | None:
        try:
            result = self._results.get(timeout=patience_s)
        except Empty:
            return None
        if isinstance(result, BaseException):
            raise result
        return result

    def close(self) -> None:
        for _ in self._threads:
            self._units.put(None)
        for supervisor in self._supervisors:
            supervisor.stop()
        for thread in self._threads:
            thread.join()

    def _serve(self, supervisor: UnitSupervisor) -> None:
        while (unit := self._units.get()) is not None:
            try:
                self._results.put(supervisor.run(unit))
            except BaseException as error:  # noqa: BLE001 - raised again by `wait`
                self._results.put(error)
                return
