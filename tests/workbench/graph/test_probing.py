"""What a bare graph tells about itself."""

from pathlib import Path

import pytest
import tensorflow as tf

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import probing
from tests.workbench import tiny
from tests.workbench.conftest import Describe
from tests.workbench.tiny import Tiny

SIZE = (65, 65)


@pytest.mark.parametrize("wanted", [tiny.PLAIN, tiny.VOC, tiny.BGR], ids=lambda wanted: wanted.name)
def test_a_probe_finds_what_model_toml_says(describe: Describe, wanted: Tiny) -> None:
    described = describe(wanted)
    found = probing.inspect(described.path, SIZE)
    for field in ("picture", "port", "answer", "node", "size", "colour", "person", "digest"):
        assert getattr(found, field) == getattr(described, field), field
    assert found.mean == pytest.approx(wanted.mean, abs=0.01)
    assert found.scale == pytest.approx(wanted.scale, abs=0.01)


def test_a_fixed_size_is_found(describe: Describe) -> None:
    assert probing.inspect(describe(tiny.BGR).path).size == SIZE


@pytest.mark.parametrize(("file", "name"), [("My Model v2.pb", "mymodelv2"), ("_x.pb", "x"), ("Ω.pb", "model")])
def test_a_files_name_becomes_one_that_can_be_published(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).write_bytes(tiny.frozen(tiny.BGR))
    assert probing.inspect(tmp_path / file).name == name


def graph(path: Path, before, *, classes: int = 2, decide: bool = True) -> Path:
    """A graph of one convolution with ``before`` in front of it."""
    made = tf.Graph()
    with made.as_default():
        picture = tf.compat.v1.placeholder(tf.uint8, (1, 16, 16, 3), name="ImageTensor")
        given = before(tf.cast(picture, tf.float32))
        kernel = tf.ones((1, 1, given.shape[-1], classes))
        logits = tf.nn.conv2d(given, kernel, 1, "SAME", name="Conv")
        tf.argmax(logits, axis=3, name="ArgMax") if decide else tf.identity(logits, name="out")
    path.write_bytes(made.as_graph_def().SerializeToString())
    return path


UNKNOWABLE = {
    "a curve": lambda pixels: tf.square(pixels / 255),
    "mixed colours": lambda pixels: tf.reshape(
        tf.reshape(pixels, (-1, 3)) @ tf.constant([[0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]), (1, 16, 16, 3)
    ),
    "another order": lambda pixels: tf.gather(pixels, [1, 2, 0], axis=3),
    "nothing of the picture": lambda pixels: pixels * 0.0,
}


@pytest.mark.parametrize("before", UNKNOWABLE)
def test_what_is_no_mean_and_scale_is_not_guessed(tmp_path: Path, before: str) -> None:
    path = graph(tmp_path / "odd.pb", UNKNOWABLE[before])
    with pytest.raises(InputError, match=r"odd\.pb: what happens before 0:Conv isn't a mean and a scale.*model\.toml"):
        probing.inspect(path)


def test_a_picture_that_changed_its_shape_is_not_guessed(tmp_path: Path) -> None:
    path = graph(tmp_path / "small.pb", lambda pixels: pixels[:, ::2])
    with pytest.raises(InputError, match=r"\(1, 16, 16, 3\) has become \(1, 8, 16, 3\); describe it in a model\.toml"):
        probing.inspect(path)


def test_the_person_among_other_classes_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which of its 5 classes is the person"):
        probing.inspect(graph(tmp_path / "five.pb", lambda pixels: pixels / 255, classes=5))


def test_a_graph_of_logits_without_a_decision_is_a_segmentation(tmp_path: Path) -> None:
    found = probing.inspect(graph(tmp_path / "soft.pb", lambda pixels: pixels / 255, decide=False))
    assert (found.meaning, found.person, found.node, found.answer) == ("person", 1, "out:0", "out:0")


def test_floats_from_nought_to_one_are_told_by_what_is_subtracted(tmp_path: Path) -> None:
    made = tf.Graph()
    with made.as_default():
        picture = tf.compat.v1.placeholder(tf.float32, (1, 16, 16, 3), name="photo")
        normal = (picture - tf.constant([0.485, 0.456, 0.406])) / tf.constant([0.229, 0.224, 0.225])
        tf.nn.conv2d(normal, tf.ones((1, 1, 3, 2)), 1, "SAME", name="Conv")
    (tmp_path / "unit.pb").write_bytes(made.as_graph_def().SerializeToString())
    found = probing.inspect(tmp_path / "unit.pb")
    assert (found.port, found.normalised) == ("photo:0", True)
    assert (found.mean, found.scale) == ((0.0,) * 3, (255.0,) * 3)


def test_several_maps_are_tensors_though_one_looks_like_a_mask(tmp_path: Path) -> None:
    made = tf.Graph()
    with made.as_default():
        picture = tf.compat.v1.placeholder(tf.uint8, (1, 16, 16, 3), name="photo")
        pixels = tf.cast(picture, tf.float32) / 255
        for name, channels in (("score", 1), ("boxes", 5)):
            tf.nn.conv2d(pixels, tf.ones((1, 1, 3, channels)), 1, "SAME", name=name)
    (tmp_path / "detector.pb").write_bytes(made.as_graph_def().SerializeToString())
    found = probing.inspect(tmp_path / "detector.pb")
    assert (found.meaning, set(found.answers)) == ("tensors", {"score:0", "boxes:0"})
