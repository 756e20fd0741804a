"""Pictures and masks of a subject have the same size, whatever its graph's input size is."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.benchmark.benchmark import run_benchmark
from danmatte_workbench.configuration import configure, reconfigure
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.subject import Subject, compute_person_margin
from danmatte_workbench.steps import Shrink, StepContext
from tests.workbench import tiny
from tests.workbench.conftest import Build, Describe

ONE = configure(hint="throughput", precision="f32", streams=1, threads=1, infer_requests=2)


@pytest.fixture
def shrunk(describe: Describe, tmp_path: Path, built: Build) -> Subject:
    return make_shrunk(describe, built, tmp_path / "graph.xml")


def make_shrunk(describe: Describe, built: Build, target: Path) -> Subject:
    """Return a graph of half the source's size that gets pictures of the source's size."""
    artifact, _ = Shrink(0.5).apply(built(tiny.PLAIN).path, target, StepContext(describe(tiny.PLAIN), None))
    return replace(Subject.from_artifact("shrunk", describe(tiny.PLAIN), artifact, ONE), canvas=(65, 65))


def test_a_shrunk_graph_resizes_pictures_of_the_sources_size_itself(shrunk: Subject) -> None:
    frame, _ = tiny.scene(3, 90, 120)
    picture = shrunk.frame_picture(frame)
    assert picture.shape == (1, 65, 65, 3)
    assert shrunk.resize_picture(picture).shape == (1, 33, 33, 3)
    assert np.abs(shrunk.resize_picture(picture).mean() - frame.mean()) < 3


def test_masks_of_a_shrunk_graph_are_aligned_with_the_sources(
    shrunk: Subject, describe: Describe, labelled: Dataset
) -> None:
    for (_, ours), (_, theirs) in zip(
        shrunk.predict_masks(labelled), Subject.from_source(describe(tiny.PLAIN)).predict_masks(labelled), strict=True
    ):
        assert ours.shape == theirs.shape
        assert (ours & theirs).sum() >= 0.85 * (ours | theirs).sum()


@pytest.mark.parametrize("hint", ["throughput", "latency"])
def test_timing_a_shrunk_graph_includes_resizing_pictures_and_masks(
    shrunk: Subject, labelled: Dataset, hint: str, tmp_path: Path
) -> None:
    watched = Watched(**vars(shrunk) | {"configuration": reconfigure(ONE, hint=hint)}, diary=tmp_path / "diary")
    run_benchmark([watched], [sample.pixels for sample in labelled.pick(2)], rounds=1, round_s=0.05)
    assert set((tmp_path / "diary").read_text().split(";")) == {"(1, 65, 65, 3) in", "(65, 65) out", ""}


@dataclass(frozen=True)
class Watched(Subject):
    """A subject that records its pictures, and the size of its masks."""

    diary: Path = Path()

    def resize_picture(self, picture: np.ndarray) -> np.ndarray:
        with self.diary.open("a") as file:
            file.write(f"{picture.shape} in;")
        return super().resize_picture(picture)

    def compute_mask(self, output: np.ndarray, size: tuple[int, int], frame: tuple[int, int]) -> np.ndarray:
        mask = super().compute_mask(output, size, frame)
        with self.diary.open("a") as file:
            file.write(f"{mask.shape} out;")
        return mask


CLASSES = np.kron(np.array([[0, 15], [15, 3]]), np.ones((16, 16), int))[None]
PERSON = CLASSES[0] == 15


def make_logits(*, first: bool) -> np.ndarray:
    """Return scores of 21 classes, (1, 32, 32, 21) or channels first, in which ``CLASSES`` are the highest."""
    scores = np.where(CLASSES[..., None] == np.arange(21), 3.0, 0.0).astype(np.float32)
    return np.moveaxis(scores, -1, 1) if first else scores


@pytest.mark.parametrize(
    ("output", "person"),
    [
        (CLASSES, 15),
        (CLASSES[..., None].astype(np.int32), 15),
        (make_logits(first=False), 15),
        (make_logits(first=True), 15),
        (np.where(PERSON, 0.9, 0.2).astype(np.float32)[None, ..., None], 0),
        (np.where(PERSON, 2.0, -3.0).astype(np.float32)[None, ..., None], 0),
        (np.where(PERSON, 0.9, 0.2).astype(np.float32)[None], 0),
    ],
    ids=["classes", "a channel of classes", "logits last", "logits first", "probability", "logit", "a bare map"],
)
def test_the_person_is_found_in_every_kind_of_segmenter_output(output: np.ndarray, person: int) -> None:
    margin, threshold = compute_person_margin(output, person)
    assert margin.dtype == np.float32
    assert ((margin > threshold) == PERSON).all()


@pytest.mark.parametrize(
    ("kind", "engine", "name"),
    [
        ("frozen", "tensorflow", "TensorFlow, oneDNN on"),
        ("keras", "tensorflow", "TensorFlow, oneDNN on"),
        ("tflite", "tflite", "TFLite"),
        ("onnx", "openvino", "OpenVINO, the source"),
        ("ir", "openvino", "OpenVINO, the source"),
    ],
)
def test_a_source_runs_in_the_runtime_that_it_was_made_for(
    describe: Describe, kind: str, engine: str, name: str
) -> None:
    found = Subject.from_source(replace(describe(tiny.PLAIN), format=kind))
    assert (found.engine, found.name, found.digest) == (engine, name, describe(tiny.PLAIN).digest)


def test_onednn_on_and_off_are_two_subjects_with_one_identity(describe: Describe) -> None:
    on, off = (Subject.from_source(describe(tiny.PLAIN), onednn=onednn) for onednn in (True, False))
    assert (on.name, off.name) == ("TensorFlow, oneDNN on", "TensorFlow, oneDNN off")
    assert on.identity == off.identity


def test_a_subjects_identity_has_what_affects_outputs_but_not_what_affects_speed(
    describe: Describe, built: Build
) -> None:
    source, artifact = describe(tiny.PLAIN), built(tiny.PLAIN)
    plain = Subject.from_artifact("a", source, artifact, configure())
    same = Subject.from_artifact("b", source, artifact, configure(hint="throughput", streams=2, batch=4))
    assert plain.identity == replace(same, canvas=(9, 9)).identity
    for other in (
        replace(plain, configuration=configure(precision="bf16")),
        replace(plain, configuration=configure(device="GPU")),
        replace(plain, digest="e" * 64),
        replace(plain, person=2),
        replace(plain, framing=replace(plain.framing, size=(33, 33))),
    ):
        assert other.identity != plain.identity


def test_only_a_graph_whose_input_takes_normalised_pictures_gets_them(
    describe: Describe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from danmatte_workbench.runtimes import tensorflow

    seen: list[float] = []
    monkeypatch.setattr(
        tensorflow, "make_runner_of_all", lambda *_, **__: lambda picture: seen.append(float(picture.max())) or ()
    )
    source = describe(tiny.PLAIN)
    white = np.full((1, 65, 65, 3), 255, np.uint8)
    for wanted in (source, replace(source, port=source.picture)):
        Subject.from_source(wanted).load_all()(white)
    assert seen == [255, 1]


def test_a_picture_of_the_graphs_size_is_not_resized(shrunk: Subject) -> None:
    picture = np.zeros((1, 33, 33, 3), np.uint8)
    assert shrunk.resize_picture(picture) is picture


@pytest.mark.parametrize("text", [None, "{", "[]", '{"name": "x", "version": 1}'])
def test_a_folder_that_is_no_published_version_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="isn't a published version"):
        Subject.from_published(tmp_path)


def test_tensors_are_in_the_order_of_the_sources_outputs(describe: Describe, labelled: Dataset) -> None:
    source = describe(tiny.PLAIN)
    both = replace(source, meaning="tensors", answers=("ArgMax:0", source.answer))
    found = list(Subject.from_source(both).predict_tensors(labelled.pick(2)))
    assert [len(tensors) for _, tensors in found] == [2, 2]
    assert all(tensors[0].shape == (1, 65, 65) for _, tensors in found)
