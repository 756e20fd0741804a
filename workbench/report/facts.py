"""The findings as JSON: everything that the table shows, and what it takes to repeat the run."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.experiment import Findings, Trial
from workbench.measurement import Measurement


def facts(findings: Findings, winner: Trial | None, published: Path | None, command: Sequence[str]) -> dict[str, Any]:
    """The findings as plain data. ``command`` is the line that repeats the run."""
    return {
        "command": list(command),
        "source": {"name": findings.source.name, "digest": findings.source.digest},
        "host": dataclasses.asdict(findings.host),
        "budget": dataclasses.asdict(findings.budget),
        "data": {
            "labelled": findings.labelled,
            "frames": findings.frames,
            "calibration_frames": findings.calibration_frames,
        },
        "fastest_baseline": findings.fastest,
        "baselines": {name: _numbers(items) for name, items in findings.baselines.items()},
        "trials": [_trial(trial) for trial in findings.trials],
        "winner": winner.name if winner else None,
        "published": str(published) if published else None,
    }


def write(content: Any, path: Path) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_text(json.dumps(content, indent=1, allow_nan=False, default=str) + "\n", encoding="utf-8")
    unfinished.replace(path)


def _trial(trial: Trial) -> dict[str, Any]:
    candidate = trial.candidate
    return {
        "name": trial.name,
        "recipe": trial.recipe,
        "digest": candidate.digest if candidate else None,
        "notes": list(candidate.notes) if candidate else [],
        "configuration": dataclasses.asdict(trial.configuration),
        "measurements": _numbers(trial.measurements),
        "accepted": trial.verdict.accepted,
        "broken": list(trial.verdict.broken),
    }


def _numbers(items: Sequence[Measurement]) -> dict[str, Any]:
    return {
        item.metric: {
            "value": item.value,
            "low": item.low,
            "high": item.high,
            "unit": item.unit,
            "samples": item.samples,
        }
        for item in items
    }
