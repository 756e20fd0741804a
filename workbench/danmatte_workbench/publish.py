"""The winner, as the folder that models/CONTRACT.md describes."""

import dataclasses
import json
import re
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from danmatte_workbench.artifact import GRAPH, WEIGHTS, Artifact, digest
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.experiment.findings import Trial
from danmatte_workbench.graph import surgery
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.source import NAME, Source

CONTRACT = 1


def publish(trial: Trial, source: Source, models: Path) -> Path:
    """Write the next version of the source's model under ``models``, whole or not at all; return its folder."""
    assert trial.candidate is not None, f"{trial.name} was never cooked"
    if not NAME.fullmatch(source.name):
        raise InputError(f"a model's name has small letters, digits, - and _ only. Received: {source.name!r}")
    try:
        return _place(trial, source, models / source.name)
    except OSError as error:
        raise MachineError(f"{models / source.name}: can't be written ({error})") from error


def _place(trial: Trial, source: Source, home: Path) -> Path:
    assert trial.candidate is not None
    home.mkdir(parents=True, exist_ok=True)
    artifact = trial.candidate.artifact
    unfinished = Path(tempfile.mkdtemp(prefix=".", dir=home))
    try:
        for name in (GRAPH, WEIGHTS):
            shutil.copyfile(artifact.path.parent / name, unfinished / name)
        unfinished.chmod(0o755)
        while True:
            version = _next(home)
            text = json.dumps(_manifest(trial, source, version, artifact), indent=2, allow_nan=False)
            (unfinished / "manifest.json").write_text(text + "\n", encoding="utf-8")
            try:
                unfinished.rename(home / str(version))
            except OSError:
                if (home / str(version)).exists():  # somebody else published meanwhile
                    continue
                raise
            return home / str(version)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _next(home: Path) -> int:
    numbers = [int(path.name) for path in home.iterdir() if re.fullmatch(r"[1-9]\d*", path.name)]
    return max(numbers, default=0) + 1


def _manifest(trial: Trial, source: Source, version: int, artifact: Artifact) -> dict[str, Any]:
    assert trial.candidate is not None
    grid = surgery.read_grid(openvino.read(artifact.path))
    if grid is None:
        raise InputError(f"{trial.name}: its answer isn't a person's probability; add the head step")
    recipe = trial.candidate.recipe
    picture, person = artifact.inputs[0], artifact.outputs[0]
    return {
        "contract": CONTRACT,
        "name": source.name,
        "version": version,
        "files": {name: _file(artifact.path.parent / name) for name in (GRAPH, WEIGHTS)},
        "input": {
            "name": picture.name,
            "shape": picture.shape,
            "dtype": picture.dtype,
            "layout": "NHWC",
            "colour": "RGB",
        },
        "output": {
            "name": person.name,
            "shape": person.shape,
            "dtype": person.dtype,
            "layout": "NHWC",
            "meaning": "person_probability",
            "grid": dataclasses.asdict(grid),
        },
        "resize": {"rule": source.rule, "fill": source.fill},
        "recipe": {
            "name": recipe.name,
            "digest": recipe.digest,
            "source": {"name": source.path.name, "digest": source.digest},
            "steps": [
                {"kind": step.kind, "revision": step.revision, "fields": dict(step.fields)} for step in recipe.steps
            ],
            "toolchain": dict(recipe.toolchain),
        },
        "configuration": dataclasses.asdict(trial.configuration),
        "measurements": [dataclasses.asdict(item) for item in trial.measurements],
        "licence": source.licence,
        "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _file(path: Path) -> dict[str, Any]:
    return {"sha256": digest(path), "size_bytes": path.stat().st_size}
