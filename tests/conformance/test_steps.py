"""Requirements on every step; a new one is one line in `STEPS`."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from danmatte_workbench import dataset, source
from danmatte_workbench.artifact import Artifact, digest, list_graph_files
from danmatte_workbench.configuration import configure
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps import Step, StepContext
from danmatte_workbench.steps.base import make_step
from tests.workbench import blocks, inner, stored_bytes, tiny

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Case:
    """The steps before the tested one, and the shapes and types of its output ports."""

    before: tuple[str, ...]
    inputs: tuple[tuple[int, ...], str]
    outputs: tuple[tuple[int, ...], str]
    fields: dict[str, float] = field(default_factory=dict)
    make: Callable[[Path], Artifact] | None = None  # a special graph, for steps that can't use the tiny one


STEPS = {
    "convert": Case((), ((1, 65, 65, 3), "u8"), ((1, 65, 65), "i32")),
    "cut": Case((), ((1, 65, 65, 3), "f32"), ((1, 65, 65), "i64")),
    "stride": Case(("cut",), ((1, 65, 65, 3), "f32"), ((1, 65, 65), "i64")),
    "refine": Case(
        ("cut", "stride", "head", "preprocess"), ((1, 65, 65, 3), "u8"), ((1, 33, 33, 1), "f32"), {"frames": 4}
    ),
    "reshape": Case(("cut", "head"), ((1, 49, 81, 3), "f32"), ((1, 25, 41, 1), "f32"), {"height": 49, "width": 81}),
    "shrink": Case(("cut", "head"), ((1, 33, 33, 3), "f32"), ((1, 17, 17, 1), "f32"), {"share": 0.5}),
    "head": Case(("cut",), ((1, 65, 65, 3), "f32"), ((1, 33, 33, 1), "f32")),
    "preprocess": Case(("cut", "head"), ((1, 65, 65, 3), "u8"), ((1, 33, 33, 1), "f32")),
    "distil": Case(
        (), ((1, 65, 65, 3), "u8"), ((1, 33, 33, 1), "f32"), {"lessons": 3, "batch": 1, "frames": 4}, inner.write
    ),
    "fuse": Case(
        (), ((1, 65, 65, 3), "u8"), ((1, 17, 17, 1), "f32"), {"lessons": 3, "batch": 1, "frames": 4}, blocks.write
    ),
    "prune": Case((), ((1, 65, 65, 3), "u8"), ((1, 33, 33, 1), "f32"), {"share": 0.3}, inner.write),
    "student": Case((), ((1, 65, 65, 3), "u8"), ((1, 33, 33, 1), "f32")),
    "pick": Case(("convert",), ((1, 65, 65, 3), "u8"), ((1, 65, 65, 1), "f32")),
    "soften": Case(("cut", "head"), ((1, 65, 65, 3), "f32"), ((1, 33, 33, 1), "f32"), {"sharpness": 0.25}),
    "recode": Case((), ((1, 17, 17, 3), "u8"), ((1, 1, 19, 19), "f32"), {}, stored_bytes.write),
    "quantize": Case(("cut", "head", "preprocess"), ((1, 65, 65, 3), "u8"), ((1, 33, 33, 1), "f32")),
}


def test_every_step_is_in_this_suite() -> None:
    assert set(Step._kinds) == set(STEPS)


def make_context(folder: Path) -> StepContext:
    """Return a tiny graph that is its own student, and six pictures; they are written if missing."""
    if not folder.exists():
        described = tiny.write(folder / "graph", tiny.BGR)
        with described.open("a") as file:
            file.write(f'\n[student]\ngraph = "{tiny.GRAPH}"\nheight = 65\nwidth = 65\n')
        tiny.write_scenes(folder / "data", 6)
    return StepContext(source.read(folder / "graph/model.toml"), dataset.load(folder / "data"), folder / "unfinished")


def apply(kind: str, context: StepContext, given: Path, target: Path) -> Artifact:
    artifact, note = make_step(kind, STEPS[kind].fields, context.source).apply(given, target, context)
    assert note
    assert artifact.path == target
    return artifact


def prepared(kind: str, context: StepContext, folder: Path) -> Path:
    """Return the graph to which the step is applied."""
    make = STEPS[kind].make
    if make:
        return make(folder / "made.xml").path
    path = context.source.path
    for number, before in enumerate(STEPS[kind].before):
        path = apply(before, context, path, folder / f"{number}.xml").path
    return path


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StepContext:
    return make_context(tmp_path_factory.mktemp("steps") / "graph")


@dataclass(frozen=True)
class Done:
    """A step applied twice, and its source's digest before and after."""

    first: Artifact
    second: Artifact
    before: str
    after: str


@pytest.fixture(scope="module", params=STEPS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def done(kind: str, context: StepContext, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp(kind)
    given = prepared(kind, context, folder)
    before = digest(*list_graph_files(given))
    first, second = (apply(kind, context, given, folder / name / "graph.xml") for name in ("a", "b"))
    return Done(first, second, before, digest(*list_graph_files(given)))


def test_a_step_does_not_change_its_source(done: Done) -> None:
    assert done.after == done.before


def test_the_same_input_gives_the_same_digest(done: Done) -> None:
    assert done.first.digest == done.second.digest
    assert done.first.digest == digest(*list_graph_files(done.first.path))


def test_the_target_can_be_read_and_runs(done: Done) -> None:
    assert openvino.describe(done.first.path) == done.first
    compiled = openvino.compile_file(done.first.path, configure(precision="f32"))
    assert len(compiled.inputs) == len(compiled.outputs) == 1


def test_the_ports_are_as_declared(kind: str, done: Done) -> None:
    (given,), (answer,) = done.first.inputs, done.first.outputs
    assert (given.shape, given.dtype) == STEPS[kind].inputs
    assert (answer.shape, answer.dtype) == STEPS[kind].outputs


ALL_STEPS = """
import sys
from pathlib import Path
from danmatte_workbench import dataset, source
from danmatte_workbench.graph import conversion
from danmatte_workbench.recipe import build_recipe, find_recipe
from danmatte_workbench.steps import StepContext

place, name = Path(sys.argv[1]), sys.argv[2]
found = source.read(place / "graph/model.toml")
if name == "second":  # whatever ran before in the process must not matter
    conversion.convert(found.path, shape=found.shape)
context = StepContext(found, dataset.load(place / "data"))
artifact, _ = build_recipe(find_recipe("int8", found), context, place / name / "graph.xml")
print(artifact.digest)
"""


def test_fresh_processes_give_the_same_digest(tmp_path: Path) -> None:
    make_context(tmp_path / "graph")
    command = [sys.executable, "-c", ALL_STEPS, str(tmp_path / "graph")]
    digests = set()
    for name in ("first", "second"):
        run = subprocess.run([*command, name], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        digests.add(run.stdout.splitlines()[-1])
    assert len(digests) == 1
