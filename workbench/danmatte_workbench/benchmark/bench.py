"""A graph on the bench: one setting after another, timed beside the reference. What a sweep's child process runs."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from danmatte.contract.configuration import Configuration
from danmatte.contract.measurement import Host
from danmatte_workbench.benchmark.load import Load, same
from danmatte_workbench.benchmark.windows import Patience, Timing, gather
from danmatte_workbench.configuration import Setting
from danmatte_workbench.errors import InputError

PROBED = 4  # pictures whose answers are compared, alone and in a batch


@dataclass(frozen=True)
class Job:
    """What is put on the bench, and how: the device and precision in ``base``, windows of about ``window_s``."""

    path: Path
    base: Configuration
    pictures: tuple[np.ndarray, ...]
    reference: Setting
    window_s: float
    host: Host
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class Task:
    """Time this setting; past ``until`` (of `time.monotonic`) the fewest windows have to do."""

    setting: Setting
    until: float


@dataclass(frozen=True)
class Probe:
    """Can this graph take so many pictures at once? Raises InputError, if not."""

    batch: int


class Bench:
    """Answers tasks with timings; the reference stays loaded. ``job`` is for the life of the child process."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._usual = self._load(job.reference).warm(job.window_s)

    def __call__(self, question: Task | Probe) -> Timing | None:
        if isinstance(question, Task):
            return self._time(question.setting, question.until)
        self._probe(question.batch)
        return None

    def _load(self, setting: Setting) -> Load:
        job = self._job
        return Load(job.path, setting.configuration(job.base), job.pictures, pinning=setting.pinning)

    def _time(self, setting: Setting, until: float) -> Timing:
        job, mended, run = self._job, False, self._usual
        if setting != job.reference:
            load = self._load(setting)
            mended, run = load.mended, load.warm(job.window_s)
        windows = gather(run, self._usual, job.patience, until=until)
        return Timing(
            windows.throughput(job.host),
            windows.latency(job.host),
            windows.ratio("ratio", job.host),
            windows.agreed,
            mended,
        )

    def _probe(self, batch: int) -> None:
        pictures = self._job.pictures[:PROBED]
        single = replace(self._job.reference, requests=1)
        alone = Load(self._job.path, single.configuration(self._job.base), pictures)
        many = Load(self._job.path, replace(single, batch=batch).configuration(self._job.base), pictures)
        if not same(alone.answers(), many.answers()):
            raise InputError(f"in a batch of {batch} it answers otherwise than picture by picture")
