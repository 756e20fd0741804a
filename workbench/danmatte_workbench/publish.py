"""Publishing the winner as the folder that models/CONTRACT.md describes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

from danmatte.contract import ManifestError, artifact
from danmatte.contract.artifact import GRAPH, WEIGHTS
from danmatte.contract.grid import Grid
from danmatte.contract.manifest import ConfirmedKind, ConfirmedLevel, Files, Manifest, Recipe, Step
from danmatte.contract.manifest import Source as SourceGraph
from danmatte.contract.ports import (
    PERSON,
    BoxesOutput,
    Channel,
    Column,
    Output,
    PictureInput,
    RegionsOutput,
    Resize,
    ScoreOutput,
    ScoresOutput,
    TensorOutput,
)
from danmatte.contract.shapes import Side, SideRange
from danmatte_workbench.artifact import Artifact, Port
from danmatte_workbench.budget import DISAGREEMENT, IOU_DROP
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.experiment.store import Candidate
from danmatte_workbench.experiment.trial import LevelAccuracy, Trial
from danmatte_workbench.graph import surgery
from danmatte_workbench.kinds import OutputKind
from danmatte_workbench.metrics.outputs import regions
from danmatte_workbench.runtimes import isa_levels, openvino
from danmatte_workbench.source import NAME, Source

THRESHOLD = 0.5  # the lowest probability that counts as a person


def publish(trial: Trial, source: Source, models: Path, answers: bytes | None = None) -> Path:
    """Write the next version of the source's model under ``models``, atomically; return its folder.

    answers: the contents of ``answers.json``; None to publish without it. Raises InputError for a trial that can't be
    published, and MachineError if ``models`` can't be written.
    """
    candidate = trial.candidate
    assert candidate is not None, f"{trial.name} was never built"
    if not NAME.fullmatch(source.name):
        raise InputError(f"model name: expected lower-case letters, digits, - and _ only, received {source.name!r}")
    graph, weights = (candidate.artifact.path.with_name(name) for name in (GRAPH, WEIGHTS))

    def describe(version: int) -> Manifest:
        return _describe(trial, candidate, source, version, answers)

    try:
        return artifact.write_version(models / source.name, graph, weights, describe, answers)
    except ManifestError as error:
        raise InputError(f"{trial.name}: can't be published: {error}") from error
    except OSError as error:
        raise MachineError(f"{models / source.name}: can't be written ({error})") from error


def _describe(trial: Trial, candidate: Candidate, source: Source, version: int, answers: bytes | None) -> Manifest:
    graph, recipe = candidate.artifact.path.with_name(GRAPH), candidate.recipe
    port, resize = candidate.artifact.inputs[0], Resize(source.rule, source.fill)
    picture = PictureInput(port.name, _describe_shape(port), port.dtype, "NHWC", "RGB", resize)  # type: ignore[arg-type]
    # Ports are passed on unchecked, because writing the manifest checks them against the contract.
    return Manifest(
        contract=2,
        name=source.name,
        version=version,
        files=Files(
            artifact.describe_file(graph),
            artifact.describe_file(graph.with_name(WEIGHTS)),
            artifact.describe_bytes(answers) if answers is not None else None,
        ),
        inputs=(picture,),
        outputs=_describe_outputs(trial.name, candidate.artifact, source),
        recipe=Recipe(
            name=recipe.name,
            digest=recipe.digest,
            source=SourceGraph(source.path.name, source.digest),
            steps=[Step(step.kind, step.revision, step.fields) for step in recipe.steps],
            toolchain=recipe.toolchain,
        ),
        configuration=trial.configuration,
        measurements=list(trial.measurements),
        licence=source.licence,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        confirmed=_describe_levels(trial),
        kinds=[ConfirmedKind(kind=item.kind, metric=item.loss.metric, **item.loss.numbers) for item in trial.kinds],
    )


def _describe_levels(trial: Trial) -> list[ConfirmedLevel]:
    """Return the loss under each instruction set that the version was compared under; the last is this CPU's own."""
    own = next((item for item in trial.measurements if item.metric in (IOU_DROP, DISAGREEMENT)), None)
    highest = isa_levels.find_highest()
    here = [LevelAccuracy(highest, own)] if own and highest and trial.configuration.device == "CPU" else []
    return [
        ConfirmedLevel(
            instruction_set=item.level,
            emulated=item.level != highest,
            metric=item.measurement.metric,
            **item.measurement.numbers,
        )
        for item in (*trial.levels, *here)
    ]


def _describe_outputs(name: str, artifact: Artifact, source: Source) -> tuple[Output, ...]:
    if source.meaning == "person":
        grid = surgery.read_grid(openvino.read(artifact.path))
        if grid is None:
            raise InputError(f"{name}: its output isn't the probability of a person; add the head step")
        port = artifact.outputs[0]
        return (RegionsOutput(port.name, port.shape, port.dtype, "NHWC", (Channel(PERSON, THRESHOLD),), grid),)  # type: ignore[arg-type]
    kinds = source.kinds or (OutputKind("tensor", "unknown"),) * len(artifact.outputs)
    ports = zip(artifact.outputs, kinds, strict=True)
    size = artifact.inputs[0].shape[1:3]
    return tuple(_describe_output(port, kind, (size[0], size[1])) for port, kind in ports)


def _describe_output(port: Port, kind: OutputKind, size: tuple[int, int]) -> Output:
    """Return the contract's description of the output: by its kind, or as a tensor where facts are missing for that."""
    shape, dtype = _describe_shape(port), cast(Any, port.dtype)
    rest = [side for side in port.shape if side != 1]
    if kind.kind == "scores" and len(rest) == 1 and port.shape[-1] == rest[0] > 0:
        return ScoresOutput(port.name, shape, dtype, ())
    if kind.kind == "regression" and not rest:
        return ScoreOutput(port.name, shape, dtype, "")
    if kind.kind == "regions" and port.dtype == "f32" and (found := _find_layout(port.shape)):
        layout, sides = found
        grid = Grid.guess(size, sides)
        return RegionsOutput(port.name, shape, "f32", layout, (Channel(kind.region, regions.THRESHOLD),), grid)
    if kind.kind == "boxes" and port.shape[-1:] == (4,):
        columns: tuple[Column, ...] = ("x1", "y1", "x2", "y2")
        # TensorFlow's detectors return y before x, as shares of the sides; PyTorch's return x before y, in pixels.
        if not kind.corners.startswith("x"):
            columns = ("y1", "x1", "y2", "x2")
        units: Literal["pixels", "shares"] = "shares" if kind.shares else "pixels"
        return BoxesOutput(port.name, shape, dtype, columns, units, "", "", "", ())
    return TensorOutput(port.name, shape, dtype)


def _find_layout(shape: tuple[int, ...]) -> tuple[Literal["NHWC", "NCHW", "NHW"], tuple[int, int]] | None:
    """Return the layout, and (height, width), of an output that is a single map; None for other shapes."""
    if len(shape) == 4 and shape[0] == 1 and min(shape) > 0:
        if shape[3] == 1:
            return "NHWC", (shape[1], shape[2])
        return ("NCHW", (shape[2], shape[3])) if shape[1] == 1 else None
    return ("NHW", (shape[1], shape[2])) if len(shape) == 3 and shape[0] == 1 and min(shape) > 0 else None


def _describe_shape(port: Port) -> tuple[Side, ...]:
    return tuple(SideRange(0, 2**24, 1) if side < 0 else side for side in port.shape)
