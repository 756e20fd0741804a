"""The teacher's soft targets: a probability at every pixel, asked once a picture."""

from pathlib import Path

import cv2
import keras
import numpy as np
import pytest

from danmatte_workbench.training.deeplab import teacher
from danmatte_workbench.training.deeplab.initialise import VOC_CLASSES, VOC_PERSON
from danmatte_workbench.training.deeplab.teacher import Teacher, teach
from tests.workbench import tiny
from tests.workbench.training.deeplab.conftest import Official


@pytest.fixture(scope="module")
def asked(official: Official) -> Teacher:
    """A teacher of two sizes that are small enough to be quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teacher, "SIDES", (33, 49))
        return Teacher(official)


@pytest.mark.parametrize("size", [(33, 33), (40, 60), (61, 20)])
def test_every_pixel_has_a_probability(asked: Teacher, size: tuple[int, int]) -> None:
    belief = asked.believe(tiny.scene(1, *size)[0])
    assert (belief.shape, belief.dtype) == (size, np.uint8)
    assert belief.std() > 0


def test_a_mirrored_picture_has_the_mirrored_belief(asked: Teacher) -> None:
    pixels = tiny.scene(2, 48, 48)[0]
    belief = asked.believe(pixels).astype(int)
    mirrored = asked.believe(np.ascontiguousarray(pixels[:, ::-1])).astype(int)
    assert abs(mirrored[:, ::-1] - belief).max() <= 1


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Teacher:
    """A teacher of one size to whom a person is what is bright, pixel by pixel."""

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
    monkeypatch.setattr(teacher, "SIDES", (48, 64))
    return Teacher({})


@pytest.mark.parametrize("size", [(40, 40), (30, 90), (90, 30), (200, 150), (20, 21)])
def test_the_belief_lies_where_the_person_is_whatever_the_pictures_shape(plain: Teacher, size: tuple[int, int]) -> None:
    height, width = size
    pixels = np.zeros((*size, 3), np.uint8)
    box = np.s_[height // 4 : height // 2, width // 2 : width - width // 8]
    pixels[box] = 255
    belief = plain.believe(pixels)
    truth = np.zeros(size, bool)
    truth[box] = True
    assert ((belief > 127) == truth).mean() > 0.93
    assert belief[height // 4 + height // 8, width // 2 + width // 5] > 250
    assert belief[-1, -1] < 5
    assert belief[0, 0] < 5


def test_certainty_is_the_mean_over_both_sizes(official: Official, asked: Teacher) -> None:
    pixels = tiny.scene(3, 33, 33)[0]
    beliefs = []
    for side in (33, 49):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(teacher, "SIDES", (side,))
            beliefs.append(Teacher(official).believe(pixels).astype(int))
    small, large = beliefs
    assert abs(asked.believe(pixels) - (small + large) / 2).max() <= 1
    assert (small != large).any()


def write(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"p{number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), tiny.scene(number, 20, 24)[0])
    return paths


@pytest.fixture
def believed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Stands in for the network; remembers what it was asked."""
    asked: list[tuple[int, ...]] = []

    class Certain:
        def __init__(self, weights: Official) -> None:
            pass

        def believe(self, pixels: np.ndarray) -> np.ndarray:
            asked.append(pixels.shape)
            return np.full(pixels.shape[:2], len(asked), np.uint8)

    monkeypatch.setattr(teacher, "Teacher", Certain)
    return asked


def test_every_picture_is_asked_for_once_and_kept(tmp_path: Path, believed: list[tuple[int, ...]]) -> None:
    pictures = write(tmp_path / "pictures", 3)
    teach({}, pictures, tmp_path / "beliefs")
    assert believed == [(20, 24, 3)] * 3
    kept = sorted(path.name for path in (tmp_path / "beliefs").iterdir())
    assert kept == ["p0.png", "p1.png", "p2.png"]
    values = [int(cv2.imread(str(tmp_path / "beliefs" / name), cv2.IMREAD_GRAYSCALE)[0, 0]) for name in kept]
    assert values == [1, 2, 3]


def test_a_course_that_goes_on_asks_only_for_what_is_missing(tmp_path: Path, believed: list[tuple[int, ...]]) -> None:
    pictures = write(tmp_path / "pictures", 3)
    teach({}, pictures[:2], tmp_path / "beliefs")
    before = {path: path.read_bytes() for path in (tmp_path / "beliefs").iterdir()}
    (tmp_path / "beliefs/p1.part.png").write_bytes(b"half")  # what a kill leaves behind
    teach({}, pictures, tmp_path / "beliefs")
    assert len(believed) == 3
    assert all(path.read_bytes() == content for path, content in before.items())
    teach({}, pictures, tmp_path / "beliefs")
    assert len(believed) == 3
