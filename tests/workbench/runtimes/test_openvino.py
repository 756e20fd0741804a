"""Cutting graphs, and IR on disk."""

import errno
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.graph import conversion
from danmatte_workbench.runtimes import openvino, tensorflow
from danmatte_workbench.source import Source
from tests.workbench import tiny
from tests.workbench.conftest import Build, Describe
from tests.workbench.tiny import Tiny

F32 = configure(precision="f32")


def cut(source: Source, folder: Path, inputs: str = "", output: str = "") -> Artifact:
    """Return the saved graph, cut as the source describes or in another place."""
    model = conversion.cut(
        source.path,
        inputs=inputs or source.port,
        output=output or source.node,
        shape=source.shape,
    )
    return openvino.save(model, folder / "graph.xml")


@pytest.mark.parametrize(
    "wanted", [tiny.PLAIN, tiny.VOC, tiny.BGR, tiny.HALVES, tiny.LEGACY], ids=lambda wanted: wanted.name
)
def test_the_cut_graph_gives_the_classes_of_tensorflow(describe: Describe, tmp_path: Path, wanted: Tiny) -> None:
    source = describe(wanted)
    infer = openvino.make_runner(cut(source, tmp_path).path, F32)
    stock = tensorflow.make_runner(source.path, feed=source.picture, fetch=f"{source.node}:0")
    agreeing = []
    for seed in range(8):
        pixels = tiny.scene(seed, *source.size)[0][None]
        colours = pixels if source.colour == "RGB" else pixels[..., ::-1]
        normalised = ((colours - np.array(source.mean)) / np.array(source.scale)).astype(np.float32)
        agreeing.append((infer(normalised).reshape(source.size) == stock(pixels)[0]).mean())
    assert np.mean(agreeing) >= 0.999


def test_the_cut_graph_has_the_requested_input_and_output(plain: Source, tmp_path: Path) -> None:
    artifact = cut(plain, tmp_path, output="logits/semantic/BiasAdd")
    assert [port.shape for port in artifact.inputs] == [(1, 65, 65, 3)]
    assert artifact.inputs[0].dtype == "f32"
    assert [port.shape for port in artifact.outputs] == [(1, 33, 33, 2)]


def test_dilation_and_batch_norm_are_folded_into_the_convolutions(plain: Source, tmp_path: Path) -> None:
    kinds = [node.get_type_name() for node in openvino.read(cut(plain, tmp_path).path).get_ops()]
    assert "SpaceToBatch" not in kinds
    assert "BatchNormInference" not in kinds
    assert kinds.count("GroupConvolution") == 2
    assert kinds.count("Convolution") == 3


@pytest.mark.parametrize(
    ("inputs", "output", "nearest"),
    [
        ("0:MobilenetV2/Conv/Conv2", "ArgMax", "MobilenetV2/Conv/Conv2D"),
        ("0:MobilenetV2/Conv/Conv2D", "ArgMxa", "ArgMax"),
        ("0:MobilenetV2/Conv/Conv2D", "logits/semantics/BiasAdd", "logits/semantic/BiasAdd"),
    ],
)
def test_an_unknown_name_is_reported_with_the_nearest(
    plain: Source, tmp_path: Path, inputs: str, output: str, nearest: str
) -> None:
    with pytest.raises(InputError) as refused:
        cut(plain, tmp_path, inputs, output)
    message = str(refused.value)
    assert str(plain.path) in message
    assert repr(nearest) in message.partition("did you mean ")[2]


def test_a_cut_that_needs_a_further_input_is_refused(tmp_path: Path) -> None:
    """A resize to the picture's own size depends on the picture."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        picture = tf.compat.v1.placeholder(tf.uint8, (1, None, None, 3), name="ImageTensor")
        logits = tf.nn.conv2d(tf.cast(picture, tf.float32), tf.ones((3, 3, 3, 2)), 2, "SAME", name="Conv")
        large = tf.compat.v1.image.resize_bilinear(logits, tf.shape(picture)[1:3])
        tf.argmax(large, axis=3, name="ArgMax")
    path = tmp_path / "open.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(InputError, match=r"open\.pb: the part from 0:Conv to ArgMax also needs ImageTensor;"):
        conversion.cut(path, inputs="0:Conv", output="ArgMax", shape=(1, 16, 16, 3))


@pytest.mark.parametrize("content", [b"", b"hello, I am no graph", b"\x00" * 100, bytes(range(256)) * 40])
def test_a_file_that_is_not_a_graph_raises_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "no.pb"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"no\.pb"):
        conversion.cut(path, inputs="0:a", output="b", shape=(1, 9, 9, 3))
    with pytest.raises(InputError, match=r"no\.pb"):
        conversion.convert(path, shape=(1, 9, 9, 3))


def test_a_file_that_is_not_an_ir_raises_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "graph.xml").write_text("<net")
    with pytest.raises(InputError, match=r"graph\.xml: OpenVINO can't read it"):
        openvino.describe(tmp_path / "graph.xml")


def test_an_unwritable_path_raises_an_input_error(built: Build, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/graph\.xml: can't be written"):
        openvino.save(openvino.read(built(tiny.PLAIN).path), tmp_path / "file" / "graph.xml")


def test_a_full_disk_raises_a_machine_error(built: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that causes an InputError is stored as impossible to build, which a full disk must not cause."""

    def fill(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    model = openvino.read(built(tiny.PLAIN).path)
    monkeypatch.setattr(openvino.ov, "save_model", fill)
    with pytest.raises(MachineError, match=r"graph\.xml: can't be written: .*No space left"):
        openvino.save(model, tmp_path / "graph.xml")


def test_a_saved_graph_keeps_its_float32_weights(plain: Source, tmp_path: Path) -> None:
    model = openvino.read(cut(plain, tmp_path).path)
    kinds = {node.get_element_type().get_type_name() for node in model.get_ops() if node.get_type_name() == "Constant"}
    assert "f32" in kinds
    assert "f16" not in kinds


def test_a_pipeline_returns_an_output_for_every_picture(built: Build) -> None:
    pictures = [tiny.scene(seed, 65, 65)[0][None] for seed in range(20)]
    artifact = built(tiny.PLAIN)
    infer = openvino.make_runner(artifact.path, F32)
    answers: list[float] = []
    pipeline = openvino.Pipeline(artifact.path, configure(hint="throughput", precision="f32", infer_requests=3))
    made_on_the_way = (picture.copy() for picture in pictures)  # only the pipeline keeps references to them
    pipeline.run(made_on_the_way, lambda answer: answers.append(float(answer.sum())))
    assert sorted(answers) == pytest.approx(sorted(float(infer(picture).sum()) for picture in pictures), rel=1e-4)


def test_an_unknown_device_raises_a_machine_error(built: Build) -> None:
    with pytest.raises(MachineError, match=r"NOSUCH can't run graph\.xml"):
        openvino.make_runner(built(tiny.PLAIN).path, configure(device="NOSUCH"))
