"""Real source graphs: what the probe finds, the descriptions, and the person's probability."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench import dataset, source
from danmatte_workbench.configuration import configure
from danmatte_workbench.graph import probing
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.recipe import build_recipe, find_recipe
from danmatte_workbench.runtimes import openvino, tensorflow
from danmatte_workbench.steps import StepContext
from tests.real.shared import PORTRAIT, ROOT, default_graph, frames, needed

pytestmark = [pytest.mark.slow, pytest.mark.data]


@pytest.fixture(scope="module", params=["portrait", "default"])
def graph(request: pytest.FixtureRequest) -> Path:
    return needed(PORTRAIT) if request.param == "portrait" else default_graph()


def test_the_probe_finds_the_cut(graph: Path) -> None:
    found = probing.inspect(graph)
    assert (found.picture, found.port, found.node) == ("ImageTensor:0", "0:MobilenetV2/Conv/Conv2D", "ArgMax")
    assert (found.size, found.person, found.colour) == ((513, 513), 1, "RGB")
    assert found.mean == pytest.approx((127.5,) * 3, abs=0.1)
    assert found.scale == pytest.approx((127.5,) * 3, abs=0.1)


def test_the_default_models_description_is_what_the_probe_finds() -> None:
    graph = default_graph()
    described, found = source.read(ROOT / "models/deeplab/model.toml"), probing.inspect(graph)
    kept = {field.name: getattr(described, field.name) for field in dataclasses.fields(described)}
    changed = {name for name, value in kept.items() if getattr(found, name) != value}
    assert changed <= {"name", "licence", "rule", "fill", "notes", "student"}  # which can't be read from a graph
    assert "513×513 was chosen" in found.notes[0]
    assert "class 1 of 2 was assumed to be the person" in found.notes[1]


def test_the_default_graph_is_small_enough_to_be_committed() -> None:
    assert default_graph().stat().st_size <= 12 * 2**20


def test_the_float_recipe_agrees_with_the_source(graph: Path, tmp_path: Path) -> None:
    found = probing.inspect(graph)
    bundled = dataset.load(dataset.SAMPLES)
    artifact, _ = build_recipe(find_recipe("float", found), StepContext(found, bundled), tmp_path / "graph.xml")
    made = Subject.from_artifact("float", found, artifact, configure(precision="f32"))
    agreeing = [
        (theirs == ours).mean()
        for (_, theirs), (_, ours) in zip(
            Subject.from_source(found).predict_masks(bundled), made.predict_masks(bundled), strict=True
        )
    ]
    assert np.mean(agreeing) >= 0.99


def test_the_persons_probability_agrees_with_the_logits(graph: Path, tmp_path: Path) -> None:
    found = probing.inspect(graph)
    bundled = dataset.load(dataset.SAMPLES)
    artifact, _ = build_recipe(find_recipe("float", found), StepContext(found, bundled), tmp_path / "graph.xml")
    infer = openvino.make_runner(artifact.path, configure(precision="f32"))
    logits = tensorflow.make_runner(graph, feed=found.picture, fetch="logits/semantic/BiasAdd:0")
    for picture in frames(4):
        scores = logits(picture)[0].astype(np.float64)
        margin = scores[..., 1] - scores[..., 0]
        clear = np.abs(margin) > 0.01
        assert np.array_equal((infer(picture)[0, ..., 0] > 0.5)[clear], (margin > 0)[clear])
