"""The winner, as the folder that models/CONTRACT.md describes."""

from datetime import UTC, datetime
from pathlib import Path

from danmatte.contract import ManifestError, artifact
from danmatte.contract.artifact import GRAPH, WEIGHTS
from danmatte.contract.manifest import ConfirmedLevel, Files, Manifest, Recipe, Step
from danmatte.contract.manifest import Source as SourceGraph
from danmatte.contract.ports import PERSON, Channel, PictureInput, RegionsOutput, Resize
from danmatte_workbench.artifact import Port
from danmatte_workbench.budget import DISAGREEMENT, IOU_DROP
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.experiment.store import Candidate
from danmatte_workbench.experiment.trial import LevelAccuracy, Trial
from danmatte_workbench.graph import surgery
from danmatte_workbench.runtimes import isa_levels, openvino
from danmatte_workbench.source import NAME, Source

THRESHOLD = 0.5  # from which probability on a person is there


def publish(trial: Trial, source: Source, models: Path, answers: bytes | None = None) -> Path:
    """Write the next version of the source's model under ``models``, whole or not at all; return its folder.

    answers: the contents of ``answers.json``, if the version is to have any.
    Raises InputError for what can't be published, and MachineError where ``models`` can't be written.
    """
    candidate = trial.candidate
    assert candidate is not None, f"{trial.name} was never built"
    if not NAME.fullmatch(source.name):
        raise InputError(f"a model's name has small letters, digits, - and _ only. Received: {source.name!r}")
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
    grid = surgery.read_grid(openvino.read(candidate.artifact.path))
    if grid is None:
        raise InputError(f"{trial.name}: its answer isn't a person's probability; add the head step")
    graph, recipe = candidate.artifact.path.with_name(GRAPH), candidate.recipe
    picture, person = candidate.artifact.inputs[0], candidate.artifact.outputs[0]
    # The ports are given as they are: whether the contract allows them is checked where the manifest is written.
    return Manifest(
        contract=2,
        name=source.name,
        version=version,
        files=Files(
            artifact.describe_file(graph),
            artifact.describe_file(graph.with_name(WEIGHTS)),
            artifact.describe_bytes(answers) if answers is not None else None,
        ),
        inputs=(_describe_picture(picture, source),),
        outputs=(RegionsOutput(person.name, person.shape, person.dtype, "NHWC", (Channel(PERSON, THRESHOLD),), grid),),  # type: ignore[arg-type]
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
    )


def _describe_levels(trial: Trial) -> list[ConfirmedLevel]:
    """What the version lost under each instruction set that it was compared under, this CPU's own last."""
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


def _describe_picture(port: Port, source: Source) -> PictureInput:
    resize = Resize(source.rule, source.fill)
    return PictureInput(port.name, port.shape, port.dtype, "NHWC", "RGB", resize)  # type: ignore[arg-type]
