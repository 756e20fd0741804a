"""Units on the nodes of a Ray cluster: one task per unit, which returns only the result."""

from typing import Any

from danmatte.errors import InvalidParameterError, MissingExtraError
from danmatte.library.executor import Executor
from danmatte.library.isolation import IsolatedMaker, Setup
from danmatte.library.library import Library, Unit
from danmatte.library.result import UnitResult
from danmatte.library.supervisor import UnitSupervisor
from danmatte.tracks.batch import CORES_A_VIDEO

_WAITING = 2  # tasks submitted per task that can run, so that no core waits for the next one
_supervisors: dict[tuple[Library, int], UnitSupervisor] = {}  # of this process, which Ray reuses for later tasks


def make_on_node(setup: Setup, unit: Unit) -> UnitResult:
    """Make a unit on this node. Called in a process of Ray, which starts a separate process for the decoder."""
    key = setup.library, setup.version
    if key not in _supervisors:
        _supervisors[key] = UnitSupervisor(setup.library, IsolatedMaker(setup))
    return _supervisors[key].run(unit)


class RayExecutor(Executor):
    """An executor that runs units as tasks of Ray Core; if a node is lost, other nodes run its tasks again.

    Raises InvalidParameterError if no cluster responds. `ray` is the library, or a replacement for tests.
    """

    def __init__(self, library: Library, version: int, address: str, ray: Any = None) -> None:
        self._ray = ray or _import_ray()
        try:
            self._ray.init(address, log_to_driver=False, logging_level="warning")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InvalidParameterError(f"ray: {address}: expected a cluster that responds: {error}") from error
        nodes = [node["Resources"].get("CPU", 0.0) for node in self._ray.nodes() if node["Alive"]]
        cores = max(1, min([CORES_A_VIDEO, *(int(count) for count in nodes if count)]))
        self.capacity = _WAITING * max(1, sum(int(count // cores) for count in nodes))
        self._setup = self._ray.put(Setup(library, version, cores=cores))
        self._remote = self._ray.remote(num_cpus=cores, max_retries=library.max_attempts)(make_on_node)
        self._limit = library.max_attempts
        self._suffix = library.suffix
        self._units: dict[Any, Unit] = {}

    def submit(self, unit: Unit) -> None:
        self._units[self._remote.remote(self._setup, unit)] = unit

    def wait(self, patience_s: float) -> UnitResult | None:
        ended, _ = self._ray.wait(list(self._units), num_returns=1, timeout=patience_s)
        if not ended:
            return None
        unit = self._units.pop(ended[0])
        try:
            result: UnitResult = self._ray.get(ended[0])
        except self._ray.exceptions.RayTaskError as error:  # raised by the unit's maker; raise the same here
            raise error.as_instanceof_cause() from error
        except self._ray.exceptions.RayError as error:
            track = unit.name_track(self._suffix)
            facts: dict[str, Any] = {"part": unit.part, "size_bytes": unit.share_bytes, "attempts": self._limit}
            return UnitResult("given up", unit.video, track, reason=f"{type(error).__name__}: {error}", **facts)
        return result

    def close(self) -> None:
        for reference in self._units:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()


def _import_ray() -> Any:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise MissingExtraError("--ray", "ray", "Ray") from error
    return ray
