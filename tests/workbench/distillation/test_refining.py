"""A graph whose stride was doubled gets the places in between back, from features that it computes anyway."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from danmatte_workbench.dataset import Dataset
from danmatte_workbench.distillation.refining import CORNERS, _interpolate, fit_probabilities, refine
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import surgery
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.source import Source
from danmatte_workbench.steps import Quantize, Refine, Reshape, StepContext, make_step


def build(source: Source, folder: Path, *kinds: str) -> ov.Model:
    """Return the source after these steps, in memory."""
    path = source.path
    for number, kind in enumerate(kinds):
        context = StepContext(source, Dataset(()))
        path = make_step(kind, {}, source).apply(path, folder / f"{'-'.join(kinds)}{number}.xml", context)[0].path
    return openvino.read(path).clone()


def answer(model: ov.Model, picture: np.ndarray) -> np.ndarray:
    return np.array(ov.compile_model(model, "CPU")(picture)[0])


def enlarge(values: np.ndarray, size: int) -> np.ndarray:
    """Enlarge bilinearly, with align_corners."""
    places = np.linspace(0, values.shape[0] - 1, size)
    rows = np.stack([np.interp(places, np.arange(len(column)), column) for column in values.T], axis=1)
    return np.stack([np.interp(places, np.arange(len(row)), row) for row in rows])


def test_a_refined_output_is_nearer_to_the_source_than_an_enlarged_one(
    plain: Source, labelled: Dataset, tmp_path: Path
) -> None:
    whole = build(plain, tmp_path, "cut", "head", "preprocess")
    coarse = build(plain, tmp_path, "cut", "stride", "head", "preprocess")
    pictures = [plain.framing.fit_exactly(frame.pixels) for frame in labelled]
    fitted, seen = coarse.clone(), pictures[3:]
    words = refine(fitted, whole, seen)
    assert words.startswith("logits 17×17 became 33×33, fitted at ")
    assert surgery.read_grid(fitted) == surgery.read_grid(whole)
    before, after = 0.0, 0.0
    for picture in pictures[:3]:
        right = answer(whole, picture)[0, ..., 0]
        assert answer(fitted, picture).shape == (1, 33, 33, 1)
        before += float(np.abs(enlarge(answer(coarse, picture)[0, ..., 0], 33) - right).mean())
        after += float(np.abs(answer(fitted, picture)[0, ..., 0] - right).mean())
    assert after < 0.6 * before


def test_a_graph_of_the_sources_own_stride_is_refused(plain: Source, labelled: Dataset, tmp_path: Path) -> None:
    whole = build(plain, tmp_path, "cut", "head", "preprocess")
    with pytest.raises(InputError, match=r"refine: expected logits of half the source's \[33, 33\], found \[33, 33\]"):
        refine(whole.clone(), whole, [])


def test_an_invalid_number_of_frames_is_refused() -> None:
    with pytest.raises(InputError, match="refine: frames: expected a whole number of at least 1, found 0"):
        replace(Refine(), frames=0)


def test_fitting_recovers_weights_and_keeps_those_without_evidence() -> None:
    rng = np.random.default_rng(2)
    rows = np.column_stack([rng.normal(0, 1, (4000, 2)), np.zeros(4000), np.ones(4000)]).astype(np.float32)
    right = np.array([2.0, -1.0, 0.0, 0.5])
    wanted = 1 / (1 + np.exp(-rows @ right))
    found = fit_probabilities(rows, wanted, np.array([0.0, 0.0, 7.0, 0.0]))
    assert found[[0, 1, 3]] == pytest.approx(right[[0, 1, 3]], abs=0.1)
    assert found[2] == 7.0


def test_the_initial_weights_interpolate_bilinearly() -> None:
    logits = np.array([[0, 0, 0], [0, 4, 8], [0, 0, 4]], np.float32)
    values = [float(_interpolate(corner) @ logits.reshape(-1)) for corner in CORNERS]
    assert values == [4, 6, 2, 4]


def test_refining_works_after_quantization_and_at_a_different_size(
    plain: Source, labelled: Dataset, tmp_path: Path
) -> None:
    context, path = StepContext(plain, labelled), plain.path
    steps = [*(make_step(kind, {}, plain) for kind in ("cut", "stride", "head", "preprocess")), Reshape(97, 97)]
    for number, step in enumerate([*steps, Quantize(frames=4), Refine(frames=6)]):
        artifact, note = step.apply(path, tmp_path / f"{number}.xml", context)
        path = artifact.path
    assert note.startswith("logits 25×25 became 49×49, fitted at ")
    model = openvino.read(path)
    assert artifact.outputs[0].shape == (1, 49, 49, 1)
    kinds = {node.get_type_name() for node in model.get_ordered_ops()}
    assert "FakeQuantize" in kinds
    refined = next(node for node in model.get_ordered_ops() if node.get_friendly_name() == "refined")
    assert refined.input_value(1).get_element_type().get_type_name() == "f32"
