"""Detection of what a graph without a description expects."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import tensorflow as tf
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import meaning, probing
from tests.workbench import tiny
from tests.workbench.conftest import Describe
from tests.workbench.small_graphs import Chain
from tests.workbench.tiny import Tiny

SIZE = (65, 65)


@pytest.mark.parametrize("wanted", [tiny.PLAIN, tiny.VOC, tiny.BGR], ids=lambda wanted: wanted.name)
def test_probing_finds_the_facts_of_model_toml(describe: Describe, wanted: Tiny) -> None:
    described = describe(wanted)
    found = probing.inspect(described.path, SIZE)
    for field in ("picture", "port", "answer", "node", "size", "colour", "person", "digest"):
        assert getattr(found, field) == getattr(described, field), field
    assert found.mean == pytest.approx(wanted.mean, abs=0.01)
    assert found.scale == pytest.approx(wanted.scale, abs=0.01)


def test_a_fixed_size_is_found(describe: Describe) -> None:
    assert probing.inspect(describe(tiny.BGR).path).size == SIZE


@pytest.mark.parametrize(("file", "name"), [("My Model v2.pb", "mymodelv2"), ("_x.pb", "x"), ("Ω.pb", "model")])
def test_the_name_of_a_file_becomes_a_valid_model_name(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).write_bytes(tiny.frozen(tiny.BGR))
    assert probing.inspect(tmp_path / file).name == name


def graph(path: Path, before, *, classes: int = 2, decide: bool = True) -> Path:
    """Return a graph of one convolution with ``before`` in front of it."""
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
    "a permuted order": lambda pixels: tf.gather(pixels, [1, 2, 0], axis=3),
    "nothing of the picture": lambda pixels: pixels * 0.0,
}


@pytest.mark.parametrize("before", UNKNOWABLE)
def test_preprocessing_other_than_mean_and_scale_is_left_in_the_graph(tmp_path: Path, before: str) -> None:
    path = graph(tmp_path / "odd.pb", UNKNOWABLE[before])
    found = probing.inspect(path)
    assert (found.port, found.mean, found.scale) == (found.picture, (0.0,) * 3, (1.0,) * 3)
    assert any("the preprocessing before 0:Conv isn't a mean and a scale" in note for note in found.notes)


def test_preprocessing_that_changes_the_shape_is_left_in_the_graph(tmp_path: Path) -> None:
    path = graph(tmp_path / "small.pb", lambda pixels: pixels[:, ::2])
    found = probing.inspect(path)
    assert found.port == found.picture
    assert any("(1, 16, 16, 3) has the shape (1, 8, 16, 3)" in note for note in found.notes)


def test_the_person_among_other_classes_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="which of its 5 classes is the person"):
        probing.inspect(graph(tmp_path / "five.pb", lambda pixels: pixels / 255, classes=5))


def test_a_graph_of_logits_without_a_decision_is_a_segmentation(tmp_path: Path) -> None:
    found = probing.inspect(graph(tmp_path / "soft.pb", lambda pixels: pixels / 255, decide=False))
    assert (found.meaning, found.person, found.node, found.answer) == ("person", 1, "out:0", "out:0")


@pytest.mark.parametrize("kind", ["depth", "pose", "heat", "unlike people"])
def test_maps_that_are_not_class_probabilities_are_not_people(tmp_path: Path, kind: str) -> None:
    """A depth map has numbers above 1; a pose has more maps than classes, or maps that don't sum to 1."""
    chain = Chain(*SIZE, last=True)
    count = {"depth": 1, "pose": 17, "heat": 21, "unlike people": 2}[kind]
    chain.conv(count, "maps", side=3)
    chain.value = ops.relu(chain.value) if kind == "depth" else ops.sigmoid(chain.value)
    if kind == "depth":
        chain.value = ops.multiply(chain.value, np.float32(50))
    found = probing.inspect(write_ir(tmp_path / "maps.xml", chain))
    assert (found.meaning, found.kinds[0].kind) == ("tensors", "tensor")
    assert any(note.startswith("it isn't considered a mask of people: ") for note in found.notes), found.notes


def test_floats_from_0_to_1_are_recognised_by_imagenets_mean_and_scale(tmp_path: Path) -> None:
    made = tf.Graph()
    with made.as_default():
        picture = tf.compat.v1.placeholder(tf.float32, (1, 16, 16, 3), name="photo")
        normal = (picture - tf.constant([0.485, 0.456, 0.406])) / tf.constant([0.229, 0.224, 0.225])
        tf.nn.conv2d(normal, tf.ones((1, 1, 3, 2)), 1, "SAME", name="Conv")
    (tmp_path / "unit.pb").write_bytes(made.as_graph_def().SerializeToString())
    found = probing.inspect(tmp_path / "unit.pb")
    assert (found.port, found.normalised) == ("photo:0", True)
    assert (found.mean, found.scale) == ((0.0,) * 3, (255.0,) * 3)


def test_several_maps_are_tensors_even_if_one_looks_like_a_mask(tmp_path: Path) -> None:
    made = tf.Graph()
    with made.as_default():
        picture = tf.compat.v1.placeholder(tf.uint8, (1, 16, 16, 3), name="photo")
        pixels = tf.cast(picture, tf.float32) / 255
        for name, channels in (("score", 1), ("boxes", 5)):
            tf.nn.conv2d(pixels, tf.ones((1, 1, 3, channels)), 1, "SAME", name=name)
    (tmp_path / "detector.pb").write_bytes(made.as_graph_def().SerializeToString())
    found = probing.inspect(tmp_path / "detector.pb")
    assert (found.meaning, set(found.answers)) == ("tensors", {"score:0", "boxes:0"})


@pytest.mark.parametrize(
    ("shape", "classes"),
    [
        ((1, 65, 65, 21), 21),
        ((1, 21, 65, 65), 21),
        ((1, 65, 65), 1),
        ((1, 9, 9, 2), 2),
        ((1, 1, 65, 65), 1),
        ((1, 1000), None),
        ((1, 1, 1, 1000), None),
        ((5,), None),
        ((1, 2, 3, 4, 5), None),
        ((), None),
        ((1, 1, 0, 7), None),
        ((0, 65, 65), None),
        ((1, 65, 0), None),
    ],
)
def test_a_map_of_classes_is_recognised_by_its_shape(shape: tuple[int, ...], classes: int | None) -> None:
    assert meaning.count_classes(shape, SIZE) == classes


def test_a_map_too_coarse_for_segmentation_is_not_a_map_of_classes() -> None:
    assert meaning.count_classes((1, 13, 13, 2), (513, 513)) == 2
    assert meaning.count_classes((1, 12, 12, 2), (513, 513)) is None


def test_hundreds_of_channels_are_not_classes() -> None:
    assert meaning.count_classes((1, 257, 513, 513), (513, 513)) is None


def test_a_cut_is_found_by_structure_alone(describe: Describe) -> None:
    places = probing.find_cut(describe(tiny.PLAIN).path)
    assert (places.port, places.node) == ("0:MobilenetV2/Conv/Conv2D", "ArgMax")
    assert places.size == (probing.DEFAULT_SIDE,) * 2
    assert probing.find_cut(describe(tiny.BGR).path).size == SIZE


def test_a_cut_without_a_decision_ends_at_the_only_output(tmp_path: Path) -> None:
    places = probing.find_cut(graph(tmp_path / "soft.pb", lambda pixels: pixels / 255, decide=False))
    assert (places.node, places.answers) == ("out:0", ("out:0",))


def write_ir(path: Path, chain: Chain, *others: ov.Node) -> Path:
    model = chain.model(*others)
    for number, port in enumerate(model.outputs):
        port.get_tensor().set_names({f"answer{number}"})
    ov.save_model(model, path)
    return path


def test_several_outputs_are_compared_as_tensors(tmp_path: Path) -> None:
    chain = Chain(*SIZE, last=True).conv(4, "stem", side=3)
    inner = ops.reduce_mean(chain.value, np.array([2, 3]), keep_dims=False)
    found = probing.inspect(write_ir(tmp_path / "many.xml", chain.conv(2, "logits"), inner))
    assert (found.meaning, found.answers) == ("tensors", ("answer0", "answer1"))
    assert any(note.startswith("answer1: scores (") for note in found.notes), found.notes
    assert probing.find_cut(tmp_path / "many.xml").node is None


def test_a_vector_is_not_a_mask(tmp_path: Path) -> None:
    chain = Chain(*SIZE, last=True).conv(10, "stem", side=3)
    chain.value = ops.reduce_mean(chain.value, np.array([2, 3]), keep_dims=False)
    assert probing.inspect(write_ir(tmp_path / "scores.xml", chain)).meaning == "tensors"


def test_a_graph_without_a_convolution_is_kept_whole(tmp_path: Path) -> None:
    chain = Chain(*SIZE, last=True)
    chain.value = ops.sigmoid(ops.reduce_mean(chain.value, np.array([1]), keep_dims=True))
    found = probing.inspect(write_ir(tmp_path / "plain.xml", chain))
    assert found.port == found.picture
    assert found.meaning == "person"
    assert "its input is given unchanged pixels, from 0 to 255" in found.notes


def test_floats_from_0_to_1_are_recognised_by_a_subtraction_of_one_half(tmp_path: Path) -> None:
    """A graph that subtracts 0.5 itself takes floats from 0 to 1."""
    chain = Chain(*SIZE, last=True)
    chain.value = ops.subtract(chain.value, np.full((1, 3, 1, 1), 0.5, np.float32))
    chain.value = ops.relu(chain.conv(2, "logits", side=3).value)
    found = probing.inspect(write_ir(tmp_path / "unit.xml", chain))
    assert found.scale == (255.0, 255.0, 255.0)
    assert any(note.startswith("its input takes floats from 0 to 1, of which it subtracts") for note in found.notes)


@pytest.mark.parametrize("last", [True, False])
def test_the_assumed_normalisation_of_floats_depends_on_the_layout(tmp_path: Path, last: bool) -> None:
    chain = Chain(*SIZE, last=last).conv(2, "logits", side=3)
    found = probing.inspect(write_ir(tmp_path / "floats.xml", chain))
    assumed = probing.SIGNED if last else probing.IMAGENET
    assert (found.mean, found.scale) == (assumed.mean, assumed.scale)
    assert any("the graph contains no normalisation" in note for note in found.notes)


def test_a_file_that_is_not_a_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.pb").write_bytes(b"hello")
    with pytest.raises(InputError, match=r"no\.pb"):
        probing.inspect(tmp_path / "no.pb")


@pytest.mark.parametrize("shape", [(16, 16, 3), (8, 16, 16, 3), (1, 4, 16, 16, 3)])
def test_inputs_other_than_one_picture_are_refused_with_the_path_once(tmp_path: Path, shape: tuple[int, ...]) -> None:
    made = tf.Graph()
    with made.as_default():
        tf.reduce_mean(tf.compat.v1.placeholder(tf.float32, shape, name="clip"), axis=(0, 1), name="answer")
    (tmp_path / "clip.pb").write_bytes(made.as_graph_def().SerializeToString())
    with pytest.raises(InputError) as refused:
        probing.inspect(tmp_path / "clip.pb")
    assert str(refused.value).endswith(f"expected one picture at a time, [1,H,W,3], as input, found {list(shape)}")
    assert str(refused.value).count("clip.pb") == 1


def test_unread_placeholders_are_not_inputs(tmp_path: Path) -> None:
    path = graph(tmp_path / "a.pb", lambda pixels: pixels, decide=False)
    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    definition.node.add(name="unused_control_flow_input", op="Placeholder").attr[
        "dtype"
    ].type = tf.float32.as_datatype_enum
    path.write_bytes(definition.SerializeToString())
    assert probing.inspect(path).picture == "ImageTensor:0"
