"""Units on the nodes of a cluster of Ray: a task for each, nothing but its result on the way back."""

from typing import Any

from danmatte.errors import InvalidParameterError, MissingExtraError
from danmatte.library.executor import Executor
from danmatte.library.isolation import IsolatedMaker, Setup
from danmatte.library.library import Library, Unit
from danmatte.library.result import UnitResult
from danmatte.library.supervisor import UnitSupervisor
from danmatte.tracks.batch import CORES_A_VIDEO

_WAITING = 2  # tasks under way for each that can run: the next one is there when one ends
_supervisors: dict[tuple[Library, int], UnitSupervisor] = {}  # of this process: Ray keeps processes for further tasks


def make_on_node(setup: Setup, unit: Unit) -> UnitResult:
    """Makes a unit in the process of Ray that this is called in, which has a process of its own for the decoder."""
    key = setup.library, setup.version
    if key not in _supervisors:
        _supervisors[key] = UnitSupervisor(setup.library, IsolatedMaker(setup))
    return _supervisors[key].run(unit)


class RayExecutor(Executor):
    """Tasks of Ray Core. A node that is lost has its tasks done by others.

    Raises InvalidParameterError where no cluster answers. `ray` is the library, or what stands in for it.
    """

    def __init__(self, library: Library, version: int, address: str, ray: Any = None) -> None:
        self._ray = ray or _import_ray()
        try:
            self._ray.init(address, log_to_driver=False, logging_level="warning")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InvalidParameterError(f"ray: {address}: expected a cluster that answers: {error}") from error
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
        except self._ray.exceptions.RayTaskError as error:  # what a unit's maker raises, as it would here
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
