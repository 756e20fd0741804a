"""The teacher's soft targets: a probability at every pixel, computed once per picture."""

from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from danmatte_workbench.training.deeplab import teacher
from danmatte_workbench.training.deeplab.initialise import VOC_CLASSES, VOC_PERSON
from danmatte_workbench.training.deeplab.teacher import Look, Teacher, teach
from tests.workbench import tiny
from tests.workbench.training.deeplab.conftest import Official


@pytest.fixture(scope="module")
def two_sizes(official: Official) -> Teacher:
    """Return a teacher with two small sizes, which is fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teacher, "OFFICIAL_LOOKS", (Look(33, "letterbox"), Look(49, "letterbox")))
        return Teacher.from_official(official)


@pytest.mark.parametrize("size", [(33, 33), (40, 60), (61, 20)])
def test_every_pixel_has_a_probability(two_sizes: Teacher, size: tuple[int, int]) -> None:
    belief = two_sizes.believe(tiny.scene(1, *size)[0])
    assert (belief.shape, belief.dtype) == (size, np.float32)
    assert 0 <= belief.min() < belief.max() <= 1


def test_a_mirrored_picture_has_the_mirrored_prediction(two_sizes: Teacher) -> None:
    pixels = tiny.scene(2, 48, 48)[0]
    belief = two_sizes.believe(pixels)
    mirrored = two_sizes.believe(np.ascontiguousarray(pixels[:, ::-1]))
    assert np.allclose(mirrored[:, ::-1], belief, atol=0.004)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Teacher:
    """Return a teacher of one size that takes bright pixels for people."""

    def build(weights: Official, size: tuple[int, int]) -> keras.Model:
        image = keras.Input((*size, 3))
        kernel = np.zeros((1, 1, 3, VOC_CLASSES), np.float32)
        kernel[..., VOC_PERSON], bias = 4.0, np.full(VOC_CLASSES, -1e3, np.float32)
        bias[0] = bias[VOC_PERSON] = 0.0
        layer = keras.layers.Conv2D(VOC_CLASSES, 1)
        model = keras.Model(image, layer(image))
        layer.set_weights([kernel, bias])
        return model

    monkeypatch.setattr(teacher.initialise, "build_official", build)
    monkeypatch.setattr(teacher, "OFFICIAL_LOOKS", (Look(48, "letterbox"), Look(64, "letterbox")))
    return Teacher.from_official({})


@pytest.mark.parametrize("size", [(40, 40), (30, 90), (90, 30), (200, 150), (20, 21)])
def test_the_prediction_covers_the_person_at_every_aspect_ratio(plain: Teacher, size: tuple[int, int]) -> None:
    height, width = size
    pixels = np.zeros((*size, 3), np.uint8)
    box = np.s_[height // 4 : height // 2, width // 2 : width - width // 8]
    pixels[box] = 255
    belief = 255 * plain.believe(pixels)
    truth = np.zeros(size, bool)
    truth[box] = True
    assert ((belief > 127) == truth).mean() > 0.93
    assert belief[height // 4 + height // 8, width // 2 + width // 5] > 250
    assert belief[-1, -1] < 5
    assert belief[0, 0] < 5


def test_the_prediction_is_the_mean_over_both_sizes(official: Official, two_sizes: Teacher) -> None:
    pixels = tiny.scene(3, 33, 33)[0]
    beliefs = []
    for side in (33, 49):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(teacher, "OFFICIAL_LOOKS", (Look(side, "letterbox"),))
            beliefs.append(Teacher.from_official(official).believe(pixels))
    small, large = beliefs
    assert np.allclose(two_sizes.believe(pixels), (small + large) / 2, atol=1e-5)
    assert (small != large).any()


def write(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"p{number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), tiny.scene(number, 20, 24)[0])
    return paths


class Certain(Teacher):
    """A fake teacher that records its pictures and predicts a constant, given as probability × 255."""

    def __init__(self, *, knows_all: bool = True) -> None:
        super().__init__({}, knows_all=knows_all)
        self.shapes: list[tuple[int, ...]] = []

    def believe(self, pixels: np.ndarray) -> np.ndarray:
        self.shapes.append(pixels.shape)
        return np.full(pixels.shape[:2], len(self.shapes) / 255, np.float32)


@pytest.fixture
def certain() -> Certain:
    return Certain()


def test_every_picture_is_predicted_once_and_stored(tmp_path: Path, certain: Certain) -> None:
    pictures = write(tmp_path / "pictures", 3)
    teach([certain], pictures, tmp_path / "beliefs")
    assert certain.shapes == [(20, 24, 3)] * 3
    kept = sorted(path.name for path in (tmp_path / "beliefs").iterdir())
    assert kept == ["p0.png", "p1.png", "p2.png"]
    values = [int(cv2.imread(str(tmp_path / "beliefs" / name), cv2.IMREAD_GRAYSCALE)[0, 0]) for name in kept]
    assert values == [1, 2, 3]


def test_a_resumed_run_predicts_only_missing_pictures(tmp_path: Path, certain: Certain) -> None:
    pictures = write(tmp_path / "pictures", 3)
    teach([certain], pictures[:2], tmp_path / "beliefs")
    before = {path: path.read_bytes() for path in (tmp_path / "beliefs").iterdir()}
    (tmp_path / "beliefs/p1.part.png").write_bytes(b"half")  # left by a killed run
    teach([certain], pictures, tmp_path / "beliefs")
    assert len(certain.shapes) == 3
    assert all(path.read_bytes() == content for path, content in before.items())
    teach([certain], pictures, tmp_path / "beliefs")
    assert len(certain.shapes) == 3


@pytest.mark.parametrize(
    ("name", "mean"), [("train/images/coco_1", 1), ("train/images/pf_1", 6), ("unlabelled/images/ccp_1", 6)]
)
def test_the_mean_of_both_teachers_is_stored_where_labels_are_incomplete(tmp_path: Path, name: str, mean: int) -> None:
    picture = tmp_path / f"{name}.jpg"
    picture.parent.mkdir(parents=True)
    cv2.imwrite(str(picture), tiny.scene(1, 20, 24)[0])
    official, source = Certain(), Certain(knows_all=False)
    source.shapes = [()] * 10
    teach([official, source], [picture], tmp_path / "beliefs")
    (kept,) = (tmp_path / "beliefs").iterdir()
    assert cv2.imread(str(kept), cv2.IMREAD_GRAYSCALE)[0, 0] == mean
