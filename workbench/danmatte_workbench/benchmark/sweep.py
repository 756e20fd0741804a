"""Batch × streams × threads × pinning × infer requests of one IR: how it runs best on this machine.

    points = run_sweep(artifact, pictures, budget_s=40, report=print, base=configuration)
    faster = find_best(points, "throughput", max_latency_ms=40)          None: nothing beats the reference for certain
    configuration = faster.apply_to(base) if faster else base
    rows = [{"who": name, **point.to_json()} for point in points]      for run.json
    curves = make_curves(points)                                     for plots

The first point is the reference, a stream a core: every other one takes turns with it, window by window, and its
``ratio`` is what the machine's noise doesn't touch. Optuna asks for the points: first the lines that make the curves,
then what its sampler expects most of. What couldn't be measured is a point, too, and says why.
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

PICTURES = 8  # enough that no cache holds them all
SEED = 0
REPEATS = 32  # asked for again so often in a row, the space is known
SHARE = 8  # of the budget, what one point may take until its windows agree
MIN_WINDOWS = 5  # windows that a point can't do without, warming up included
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
    """Measure points for about ``budget_s`` seconds, in a process of its own; at least the reference is measured.

    pictures: as the graph's one input takes them, (1, …) each. base: the device and the precision, kept for all points.
    Raises InputError when the graph or the pictures can't be used, MachineError when the device can't run it.
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
    """When the sweep ends, and how long one point may go on looking for windows that agree."""

    end: float
    point_s: float

    @property
    def until(self) -> float:
        """The moment after which a point that starts now has to make do."""
        return min(self.end, time.monotonic() + self.point_s)

    @property
    def left_s(self) -> float:
        return self.end - time.monotonic()


class Timer(Protocol):
    """Whatever can time a setting."""

    def time_setting(self, setting: Setting, until: float) -> Timing:
        """The setting's timing. Raises WorkbenchError where there is none."""


def search_space(
    timer: Timer, space: Space, first: Point, *, deadline: Deadline, report: Callable[[str], None]
) -> tuple[Point, ...]:
    """``first`` and points as the study asks for them, until time is up or nothing new is asked for."""
    assert first.timing is not None, "the reference was measured"
    found, study, usual_s = {first.setting: first}, SettingSearch(space), 0.0
    while deadline.left_s > usual_s and (setting := study.ask(found)):
        begun = time.monotonic()
        needed_s = MIN_WINDOWS * setting.batch * setting.requests / first.timing.throughput.value
        if needed_s > deadline.left_s / 2:
            note = f"not measured: it takes {needed_s:.0f} s, and {deadline.left_s:.0f} s were left"
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
    return Point(setting, timing, "the graph had to be mended for its batch" if timing.mended else "")


class SweepProcess:
    """The child process that times; a new one after a setting that was its end."""

    def __init__(self, new: Callable[[], Child]) -> None:
        self._new = new
        self._child = new()

    def time_setting(self, setting: Setting, until: float) -> Timing:
        """The setting's timing. Raises what the child raises, and MachineError when it dies or hangs."""
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
        """Why the graph can't take so many pictures at once; empty where it can."""
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
    """Optuna's ask and tell over the space: its lines first, then its sampler (TPE) from a fixed seed."""

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
        """The next setting that isn't known yet; None where no more come."""
        # The sampler may ask for a place again: it hears once more what came of it, and nothing is measured twice.
        for _ in range(REPEATS):
            self._trial = self._study.ask(self._axes)
            chosen = self._trial.params
            # More streams than threads are the same as as many.
            streams = min(chosen["streams"], chosen["threads"] or chosen["streams"])
            requests = chosen["requests"] * streams
            setting = Setting(chosen["batch"], streams, chosen["threads"], requests, chosen["pinning"])
            if setting not in known:
                return setting
            self.tell(known[setting])
        return None

    def tell(self, point: Point) -> None:
        """Tell the study what came of the setting that was asked for last."""
        from optuna.trial import TrialState

        if point.timing is None:
            self._study.tell(self._trial, state=TrialState.FAIL)
        else:
            self._study.tell(self._trial, point.timing.ratio.value)
