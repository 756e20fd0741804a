"""The whole training with its expensive parts replaced: what is trained, averaged and exported."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import tflite
from danmatte_workbench.training.deeplab import architecture, backend, course, fit
from danmatte_workbench.training.deeplab.initialise import Kernel

NARROW = {"decoder-conv1_pointwise": 32}


class Course:
    """Records of the arguments of the replaced parts."""

    def __init__(self) -> None:
        self.taught: list[str] = []
        self.stages: list[tuple[str, float]] = []
        self.exported: list[np.ndarray] = []
        self.teachers: list[keras.Model] = []


def build_small(size: tuple[int, int] = (17, 17), widths: architecture.Widths = architecture.WHOLE) -> keras.Model:
    assert widths in (architecture.WHOLE, NARROW)
    size = (17, 17)
    image = keras.Input((*size, 3))
    return keras.Model(image, keras.layers.Conv2D(2, 1, name="logits-semantic")(image))


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Course:
    """Replace the stages by ones that add one to every weight."""
    found = Course()
    ends: dict[str, list[np.ndarray]] = {}

    def teach(teachers: Sequence[str], pictures: Sequence[Path], folder: Path) -> None:
        assert teachers == ("from_official", "from_source")
        found.taught += [picture.relative_to(picture.parents[2]).as_posix() for picture in pictures]

    def run_stage(stage: fit.Stage, initial: fit.InitialWeights, *rest: object) -> list[np.ndarray]:
        found.teachers += [each for each in rest if isinstance(each, keras.Model)]
        weights = initial.weights
        found.stages.append((stage.name, float(weights[0].flat[0])))
        ends[stage.name] = [weight + 1 for weight in weights]
        return ends[stage.name]

    def export(network: keras.Model, path: Path) -> None:
        found.exported = network.get_weights()
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"graph")

    monkeypatch.setattr(tflite, "read_tensors", lambda path: {})
    monkeypatch.setattr(course.initialise, "dequantize", lambda tensors: {})
    monkeypatch.setattr(course.initialise, "read_graph", lambda path: {})
    monkeypatch.setattr(course.initialise, "go_on_from", lambda model, weights: [])
    for name in ("from_official", "from_source"):
        monkeypatch.setattr(course.teacher.Teacher, name, lambda weights, name=name: name)
    monkeypatch.setattr(course.fit, "average_kept", lambda stage, folder: ends[stage.name])
    monkeypatch.setattr(course.architecture, "build", build_small)
    monkeypatch.setattr(course.teacher, "teach", teach)
    monkeypatch.setattr(course, "Scenes", lambda people, beliefs: None)
    monkeypatch.setattr(course.fit, "run_stage", run_stage)
    monkeypatch.setattr(course.export, "export", export)
    yield found
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    for name in ("train/images/a", "unlabelled/images/b", "val/images/c"):
        path = tmp_path / f"people/{name}.jpg"
        path.parent.mkdir(parents=True)
        path.touch()
    (tmp_path / "initial.pb").touch()
    (tmp_path / "official.tflite").touch()
    return tmp_path / "people"


def test_validation_pictures_are_never_used_for_training(replaced: Course, people: Path, tmp_path: Path) -> None:
    course.train(people, tmp_path / "initial.pb", tmp_path / "official.tflite", tmp_path, 1)
    assert replaced.taught == ["train/images/a.jpg", "unlabelled/images/b.jpg"]


def test_each_stage_continues_the_previous_one_and_the_weighted_mean_is_exported(
    replaced: Course, people: Path, tmp_path: Path
) -> None:
    graph = course.train(people, tmp_path / "initial.pb", tmp_path / "official.tflite", tmp_path, 1)
    assert graph.read_bytes() == b"graph"
    assert [name for name, _ in replaced.stages] == [stage.name for stage in fit.STAGES]
    starts = [start for _, start in replaced.stages]
    assert starts == pytest.approx([starts[0] + number for number in range(len(starts))], abs=1e-5)
    steps = sum(stage.share * (number + 1) for number, stage in enumerate(fit.STAGES))
    assert float(replaced.exported[0].flat[0]) == pytest.approx(starts[0] + steps, abs=1e-5)
    background, person = replaced.exported[1]
    assert person - background == pytest.approx(-course.MARGIN)


def test_a_student_is_trained_in_one_stage_with_its_own_widths_and_no_margin(
    replaced: Course, people: Path, tmp_path: Path
) -> None:
    carved = {
        "decoder-conv1_pointwise": Kernel(np.zeros((1, 1, 64, 32)), np.zeros(32)),
        "decoder-conv1_depthwise": Kernel(np.zeros((3, 3, 64, 1)), np.zeros(64)),
    }
    graph = course.train_student(
        people, tmp_path / "initial.pb", tmp_path / "official.tflite", carved, tmp_path / "out", 1
    )
    assert graph == tmp_path / "out/student_graph.pb"
    assert [name for name, _ in replaced.stages] == [fit.STUDENT.name]
    assert len(replaced.teachers) == 1  # the network from which it was carved
    assert replaced.taught == ["train/images/a.jpg", "unlabelled/images/b.jpg"]
    assert float(replaced.exported[0].flat[0]) == pytest.approx(replaced.stages[0][1] + 1, abs=1e-5)
    background, person = replaced.exported[1]
    assert person == background  # a student's margin comes from the source


def test_a_student_with_a_missing_layer_is_refused_with_its_name(
    replaced: Course, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course.initialise, "go_on_from", lambda model, weights: ["decoder-middle"])
    with pytest.raises(InputError, match=r"these of its layers are missing: \['decoder-middle'\]"):
        course.train_student(people, tmp_path / "initial.pb", tmp_path / "official.tflite", {}, tmp_path / "out", 1)
    assert replaced.stages == []


@pytest.mark.parametrize("missing", ["initial.pb", "official.tflite"])
def test_a_missing_graph_is_reported(replaced: Course, people: Path, tmp_path: Path, missing: str) -> None:
    (tmp_path / missing).unlink()
    with pytest.raises(InputError, match=f"{missing}: no such file; expected"):
        course.train(people, tmp_path / "initial.pb", tmp_path / "official.tflite", tmp_path, 1)


def test_the_same_seed_starts_from_the_same_weights(replaced: Course, people: Path, tmp_path: Path) -> None:
    for seed in (1, 1, 2):
        course.train(people, tmp_path / "initial.pb", tmp_path / "official.tflite", tmp_path, seed)
    first, again, other = (start for name, start in replaced.stages if name == fit.STAGES[0].name)
    assert first == again != other


@pytest.mark.parametrize(("gpu", "library"), [(True, "torch"), (False, "tensorflow"), (None, "tensorflow")])
def test_keras_trains_on_torch_only_if_torch_has_a_gpu(
    monkeypatch: pytest.MonkeyPatch, gpu: bool | None, library: str
) -> None:
    class Cuda:
        @staticmethod
        def is_available() -> bool:
            return bool(gpu)

    class Torch:
        cuda = Cuda()

    monkeypatch.setitem(__import__("sys").modules, "torch", None if gpu is None else Torch())
    assert backend.choose() == library
