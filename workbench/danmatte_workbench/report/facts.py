"""A run as JSON: everything that the report shows, and everything needed to repeat the run."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from msgspec import structs

from danmatte.contract.command_line import write_json
from danmatte.contract.measurement import Measurement
from danmatte_workbench import hardware
from danmatte_workbench.errors import MachineError
from danmatte_workbench.experiment import judge
from danmatte_workbench.experiment.result import ExperimentResult
from danmatte_workbench.experiment.trial import Trial

SCHEMA = 1
LIBRARIES = ("openvino", "nncf", "tensorflow-cpu", "keras", "numpy", "opencv-python-headless", "optuna", "danmatte")


@dataclass(frozen=True)
class Invocation:
    """The invocation of a run: the command that repeats it, its start (ISO 8601) and its duration.

    published: path of the published winner; None if nothing was published.
    """

    command: tuple[str, ...]
    started: str
    seconds: float
    published: Path | None = None


def describe_run(result: ExperimentResult, invocation: Invocation) -> dict[str, Any]:
    """Return the run as plain data in the format of run.json."""
    source, winner, seen = result.source, result.winner, result.analysis
    nearest = None if winner else judge.find_nearest(result.trials)
    return {
        "schema": SCHEMA,
        "command": list(invocation.command),
        "started": invocation.started,
        "seconds": round(invocation.seconds, 1),
        "load": round(result.load, 3),
        "source": {
            "name": source.name,
            "digest": source.digest,
            "format": source.format,
            "meaning": source.meaning,
            "size": list(source.size),
        },
        "host": dataclasses.asdict(hardware.describe_hardware()) | structs.asdict(result.host),
        "versions": list_versions(),
        "budget": dataclasses.asdict(result.budget),
        "objective": result.objective,
        "effort": result.effort,
        "data": {
            "origin": result.origin,
            "labelled": result.labelled,
            "frames": result.frames,
            "calibration_frames": result.calibration_frames,
            "choosing_frames": result.choosing_frames,
            "confirming_frames": result.confirming_frames,
            "kinds": result.kinds,
            "kinds_found": result.kinds_found,
        },
        "fastest_baseline": result.fastest,
        "baselines": {name: _numbers(items) for name, items in result.baselines.items()},
        "trials": [describe_trial(trial) for trial in result.trials],
        "winner": winner.name if winner else None,
        "nearest": nearest.name if nearest else None,
        "published": str(invocation.published) if invocation.published else None,
        "layers": {"before": seen.before, "after": seen.after},
        "sweep": seen.sweep,
        "isa": seen.isa,
        "masks": seen.masks,
        "starts": seen.starts,
        "scores": result.scores,
    }


def list_versions() -> dict[str, str]:
    """Return the versions of the libraries that affect the figures; those that aren't installed are omitted."""
    found = {}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found


def write(content: Any, path: Path) -> None:
    """Write JSON atomically; ``-`` is standard output. Raises MachineError if it can't be written."""
    try:
        write_json(content, path)
    except OSError as error:
        raise MachineError(f"{path}: can't be written ({error})") from error


def describe_trial(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain data."""
    candidate, confirmation = trial.candidate, trial.confirmation
    return {
        "name": trial.name,
        "recipe": trial.recipe.name,
        "digest": candidate.digest if candidate else None,
        "notes": [*candidate.notes, f"made from {candidate.parent}"] if candidate else [],
        "configuration": structs.asdict(trial.configuration),
        "measurements": _numbers(trial.measurements),
        "accepted": trial.verdict.accepted,
        "state": trial.state,
        "broken": list(trial.verdict.broken),
        "seconds": round(trial.seconds, 1),
        "finalist": trial.finalist,
        "kinds": {item.kind: item.loss.numbers for item in trial.kinds},
        "levels": {item.level: item.measurement.numbers for item in trial.levels},
        "confirmation": confirmation
        and {
            "frames": confirmation.frames,
            "attempt": confirmation.attempt,
            "confidence": confirmation.confidence,
            "crossed": confirmation.crossed,
            "choosing": _numbers(confirmation.choosing.measurements),
            "choosing_kinds": {item.kind: item.loss.numbers for item in confirmation.choosing.kinds},
        },
    }


def _numbers(items: Sequence[Measurement]) -> dict[str, Any]:
    return {item.metric: item.numbers for item in items}
