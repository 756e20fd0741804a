"""Graphs of every format: what is detected, and that converted graphs return the same outputs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import probing
from danmatte_workbench.metrics.agreement import measure_disagreement, score_tensors
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.recipe import build_recipe, find_recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import StepContext
from tests.workbench import graphs
from tests.workbench.facts import HOST


@dataclass(frozen=True)
class Case:
    """How a graph is written, its file name, and what should be detected."""

    write: Callable[..., Path]
    name: str
    format: str
    person: int = 1
    normalised: bool = False
    how: dict[str, object] = field(default_factory=dict)


MASKS = {
    "keras": Case(graphs.write_keras, "a.keras", "keras"),
    "keras of any size": Case(graphs.write_keras, "d.keras", "keras", how={"side": None}),
    "h5, probabilities": Case(graphs.write_keras, "b.h5", "keras", how={"end": "softmax"}),
    "saved model, one channel": Case(graphs.write_saved, "c", "savedmodel", how={"end": "sigmoid"}),
    "tflite": Case(graphs.write_tflite, "e.tflite", "tflite"),
    "tflite, normalised": Case(graphs.write_tflite, "n.tflite", "tflite", normalised=True, how={"rescaled": False}),
    "tflite of 8 bits": Case(graphs.write_tflite, "f.tflite", "tflite", how={"bits": 8}),
    "onnx, logits": Case(graphs.write_onnx, "g.onnx", "onnx", normalised=True),
    "onnx of any size": Case(graphs.write_onnx, "h.onnx", "onnx", normalised=True, how={"side": None}),
    "onnx, decided": Case(
        graphs.write_onnx, "i.onnx", "onnx", 15, True, {"end": "argmax", "classes": 21, "names": "/odd/Node."}
    ),
    "onnx, no names, one channel": Case(
        graphs.write_onnx, "j.onnx", "onnx", normalised=True, how={"end": "sigmoid", "names": ""}
    ),
    "ir": Case(graphs.write_ir, "k.xml", "ir", normalised=True, how={"end": "argmax"}),
}


@pytest.fixture(scope="module", params=MASKS)
def case(request: pytest.FixtureRequest) -> Case:
    return MASKS[request.param]


@pytest.fixture(scope="module")
def found(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = case.write(tmp_path_factory.mktemp("graph") / case.name, **case.how)
    return probing.inspect(path, (graphs.SIDE, graphs.SIDE))


def build_subject(source: Source, recipe: str, data: Dataset, folder: Path) -> Subject:
    """Build the recipe for the source, in float32."""
    refined = find_recipe(recipe, source)
    artifact, _ = build_recipe(refined, StepContext(source, data), folder / "graph.xml")
    return Subject.from_artifact(recipe, source, artifact, configure(precision="f32"))


def compute_iou(one: Subject, other: Subject, data: Dataset) -> float:
    """Return the pooled IoU of their masks."""
    pairs = [(a, b) for (_, a), (_, b) in zip(one.predict_masks(data), other.predict_masks(data), strict=True)]
    either = sum(int((a | b).sum()) for a, b in pairs)
    assert either, "no people were found, so agreement proves nothing"
    return sum(int((a & b).sum()) for a, b in pairs) / either


def test_probing_detects_format_meaning_person_and_normalisation(case: Case, found: Source) -> None:
    assert (found.format, found.meaning, found.person) == (case.format, "person", case.person)
    assert found.normalised == case.normalised
    assert any("the graph contains no normalisation" in note for note in found.notes) == case.normalised
    if not case.normalised:
        assert found.mean == pytest.approx((127.5,) * 3, abs=0.05)
        assert found.scale == pytest.approx((127.5,) * 3, abs=0.05)


def test_the_source_finds_the_people_of_the_pictures(found: Source, labelled: Dataset) -> None:
    both = either = 0
    for sample, mask in Subject.from_source(found).predict_masks(labelled):
        truth = sample.truth == 255
        both, either = both + int((mask & truth).sum()), either + int((mask | truth).sum())
    assert both / either > 0.85


@pytest.mark.parametrize(("recipe", "least"), [("uncut", 0.995), ("float", 0.94)])
def test_a_graph_built_by_a_recipe_gives_nearly_the_masks_of_the_source(
    found: Source, labelled: Dataset, tmp_path: Path, recipe: str, least: float
) -> None:
    contender = build_subject(found, recipe, labelled, tmp_path)
    assert compute_iou(Subject.from_source(found), contender, labelled) > least


@pytest.mark.parametrize("write", [graphs.write_classifier, graphs.write_detector, graphs.write_finder])
def test_graphs_without_masks_are_compared_by_their_tensors(
    write: Callable[[Path], Path], labelled: Dataset, tmp_path: Path
) -> None:
    source = probing.inspect(write(tmp_path / "other.onnx"))
    assert source.meaning == "tensors"
    assert [str(kind) in " ".join(source.notes) for kind in source.kinds] == [True] * len(source.answers)
    whole = build_subject(source, "uncut", labelled, tmp_path)
    answers = [
        [tensors for _, tensors in item.predict_tensors(labelled)] for item in (Subject.from_source(source), whole)
    ]
    assert len(answers[0][0]) == len(source.answers) == len(answers[1][0])
    scores = score_tensors(labelled.names, *answers, [kind.kind for kind in source.kinds])
    assert measure_disagreement(scores, "d", HOST).high < 0.01
    assert np.ptp(answers[0][0][0]) > 0


def test_a_graph_of_two_inputs_is_refused(tmp_path: Path) -> None:
    import keras

    inputs = [keras.Input((8, 8, 3), batch_size=1), keras.Input((8, 8, 3), batch_size=1)]
    keras.Model(inputs, keras.layers.Add()(inputs)).save(tmp_path / "two.keras")
    with pytest.raises(InputError, match=r"two\.keras: .*expected one input"):
        probing.inspect(tmp_path / "two.keras")
