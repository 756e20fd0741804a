"""Search for the best runtime setting of one IR: batch × streams × threads × pinning × infer requests.

    points = run_sweep(artifact, pictures, budget_s=40, report=print, base=configuration)
    faster = find_best(points, "throughput", max_latency_ms=40)          None if none is certainly faster
    configuration = faster.apply_to(base) if faster else base
    rows = [{"who": name, **point.to_json()} for point in points]      for run.json
    curves = make_curves(points)                                     for plots

The first point is the reference, with a stream per core. Every other point is timed alternately with it, window by
window, so that its ``ratio`` isn't affected by the machine's noise. Optuna chooses the points: first those along the
curves, then those that its sampler expects to be best. A setting that can't be measured gives a point with the reason.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, Self

import numpy as np

from danmatte.contract.configuration import Configuration
from danmatte.contract.cores import count_cores
from danmatte_workbench import hardware
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.benchmark.space import REQUESTS, Point, Space, find_best, make_curves
from danmatte_workbench.benchmark.windows import Timing
from danmatte_workbench.configuration import Setting, configure
from danmatte_workbench.errors import InputError, MachineError, WorkbenchError
from danmatte_workbench.processes.child import Child

__all__ = ["Point", "Setting", "find_best", "make_curves", "run_sweep"]

PICTURES = 8  # too many for the CPU's caches
SEED = 0
REPEATS = 32  # known proposals in a row after which the search ends
SHARE = 8  # 1/SHARE of the budget is the limit for one point, if its windows don't agree before
MIN_WINDOWS = 5  # per point, warming up included
ANSWER_S = 120.0
WINDOW_S = (0.2, 1.0)


def run_sweep(
    artifact: Artifact,
    pictures: Sequence[np.ndarray],
    *,
    budget_s: float,
    report: Callable[[str], None],
    base: Configuration | None = None,
) -> tuple[Point, ...]:
    """Measure points for about ``budget_s`` seconds in a child process; at least the reference is measured.

    pictures: (1, …) each, in the shape of the graph's only input. report: called with each point in words. base:
    configuration with the device and the precision of all points. Raises InputError when the graph or the pictures
    can't be used, MachineError when the device can't run the graph.
    """
    from danmatte_workbench.benchmark.load import SweepJob, SweepWorker
    from danmatte_workbench.runtimes import devices

    if not budget_s > 0:
        raise InputError(f"a sweep's budget: expected seconds above 0, received {budget_s}")
    base = base or configure()
    devices.check_device(base.device)
    space = Space.for_cpu(count_cores()) if devices.is_cpu(base.device) else Space.for_accelerator()
    window_s = min(max(budget_s / 200, WINDOW_S[0]), WINDOW_S[1])
    job = SweepJob(artifact.path, base, tuple(pictures[:PICTURES]), space.reference, window_s, hardware.describe_host())
    deadline = Deadline(time.monotonic() + budget_s, budget_s / SHARE)
    with SweepProcess(partial(Child, f"sweeping {artifact.path.name}", SweepWorker, job)) as process:
        first = Point(space.reference, process.time_setting(space.reference, deadline.until))
        report(str(first))
        refused = process.probe_batch(2)
        if refused:
            report(f"batch: {refused}")
            space = replace(space, batches=(1,))
        points = search_space(process, space, first, deadline=deadline, report=report)
    return (*points, *([Point(replace(space.reference, batch=2), None, refused)] if refused else []))


@dataclass(frozen=True)
class Deadline:
    """Time limits: ``end`` of the sweep (of `time.monotonic`), and ``point_s`` seconds for one point."""

    end: float
    point_s: float

    @property
    def until(self) -> float:
        """The time after which a point that starts now runs no more than the minimum of windows."""
        return min(self.end, time.monotonic() + self.point_s)

    @property
    def left_s(self) -> float:
        return self.end - time.monotonic()


class Timer(Protocol):
    """An object that can time a setting."""

    def time_setting(self, setting: Setting, until: float) -> Timing:
        """Return the setting's timing. Raises WorkbenchError if it can't be measured."""


def search_space(
    timer: Timer, space: Space, first: Point, *, deadline: Deadline, report: Callable[[str], None]
) -> tuple[Point, ...]:
    """Measure the points that the study proposes, until the time is over or it proposes nothing new.

    Returns ``first``, the reference, and these points.
    """
    assert first.timing is not None, "the reference was measured"
    found, study, usual_s = {first.setting: first}, SettingSearch(space), 0.0
    while deadline.left_s > usual_s and (setting := study.ask(found)):
        begun = time.monotonic()
        needed_s = MIN_WINDOWS * setting.batch * setting.requests / first.timing.throughput.value
        if needed_s > deadline.left_s / 2:
            note = f"not measured: it takes {needed_s:.0f} s, but {deadline.left_s:.0f} s were left"
            found[setting] = Point(setting, None, note)
        else:
            found[setting] = _measure_point(timer, setting, deadline)
            usual_s = (usual_s + time.monotonic() - begun) / 2
        study.tell(found[setting])
        report(str(found[setting]))
    return tuple(found.values())


def _measure_point(timer: Timer, setting: Setting, deadline: Deadline) -> Point:
    try:
        timing = timer.time_setting(setting, deadline.until)
    except WorkbenchError as error:
        return Point(setting, None, str(error))
    return Point(setting, timing, "the graph had to be rewritten for this batch" if timing.mended else "")


class SweepProcess:
    """The child process that times settings. It is replaced after a setting that made it die or hang."""

    def __init__(self, new: Callable[[], Child]) -> None:
        self._new = new
        self._child = new()

    def time_setting(self, setting: Setting, until: float) -> Timing:
        """Return the setting's timing. Raises the child's WorkbenchError, and MachineError when it dies or hangs."""
        from danmatte_workbench.benchmark.load import TimingTask

        limit_s = max(0.0, until - time.monotonic()) + ANSWER_S
        try:
            timing: Timing = self._child.ask(TimingTask(setting, until), timeout_s=limit_s)
        except MachineError:
            self._child.close()
            self._child = self._new()
            raise
        return timing

    def probe_batch(self, batch: int) -> str:
        """Return why the graph doesn't support this batch size; empty if it does."""
        from danmatte_workbench.benchmark.load import BatchProbe

        try:
            self._child.ask(BatchProbe(batch), timeout_s=ANSWER_S)
        except InputError as error:
            return str(error)
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close()


class SettingSearch:
    """Optuna's ask-and-tell search in a space: first the space's lines, then a TPE sampler with a fixed seed."""

    def __init__(self, space: Space) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        choices: dict[str, Sequence[Any]] = {
            "batch": space.batches,
            "streams": space.streams,
            "threads": space.threads,
            "requests": REQUESTS,
            "pinning": space.pinning,
        }
        self._axes: dict[str, optuna.distributions.BaseDistribution] = {
            name: optuna.distributions.CategoricalDistribution(values) for name, values in choices.items()
        }
        sampler = optuna.samplers.TPESampler(seed=SEED, n_startup_trials=len(space.lines))
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        for setting in space.lines:
            self._study.enqueue_trial({**dataclasses.asdict(setting), "requests": setting.requests // setting.streams})

    def ask(self, known: Mapping[Setting, Point]) -> Setting | None:
        """Return the next setting that isn't in ``known``; None if there are no more."""
        # The sampler may repeat a setting. Then it is told the known result, and nothing is measured twice.
        for _ in range(REPEATS):
            self._trial = self._study.ask(self._axes)
            chosen = self._trial.params
            # More streams than threads have no effect.
            streams = min(chosen["streams"], chosen["threads"] or chosen["streams"])
            requests = chosen["requests"] * streams
            setting = Setting(chosen["batch"], streams, chosen["threads"], requests, chosen["pinning"])
            if setting not in known:
                return setting
            self.tell(known[setting])
        return None

    def tell(self, point: Point) -> None:
        """Report the result of the last proposed setting to the study."""
        from optuna.trial import TrialState

        if point.timing is None:
            self._study.tell(self._trial, state=TrialState.FAIL)
        else:
            self._study.tell(self._trial, point.timing.ratio.value)
