"""``workbench convert``, with the command line of OpenVINO's converters."""

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from danmatte_workbench.cli import main
from danmatte_workbench.configuration import configure
from danmatte_workbench.runtimes import openvino, tensorflow
from danmatte_workbench.source import Source
from tests.workbench import graphs, tiny

CONVERTER_LINE = (
    "convert --input_model {} --input 0:MobilenetV2/Conv/Conv2D --output ArgMax "
    "--input_shape [1,65,65,3] --output_dir {}"
)


def convert(line: str, *places: Path) -> None:
    assert main(shlex.split(line.format(*places))) == 0


def test_a_command_line_of_openvinos_converter_cuts_the_graph(plain: Source, tmp_path: Path) -> None:
    convert(CONVERTER_LINE, plain.path, tmp_path)
    artifact = openvino.describe(tmp_path / "frozen_inference_graph.xml")
    assert [(port.shape, port.dtype) for port in artifact.inputs] == [((1, 65, 65, 3), "f32")]
    infer = openvino.make_runner(artifact.path, configure(precision="f32"))
    stock = tensorflow.make_runner(plain.path, feed=plain.picture, fetch="ArgMax:0")
    pixels = tiny.scene(1, 65, 65)[0][None]
    output = infer(pixels.astype(np.float32) / 127.5 - 1).reshape(65, 65)
    assert (output == stock(pixels)[0]).mean() >= 0.999


def test_auto_finds_the_same_cut_as_explicit_names(
    plain: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(CONVERTER_LINE, plain.path, tmp_path / "named")
    line = "convert --input_model {} --input auto --output auto --input_shape [1,65,65,3] --output_dir {}"
    convert(line, plain.path, tmp_path / "found")
    named, found = (tmp_path / name / "frozen_inference_graph.xml" for name in ("named", "found"))
    assert found.read_bytes() == named.read_bytes()
    assert "0:MobilenetV2/Conv/Conv2D … ArgMax" in capsys.readouterr().out


def test_auto_finds_the_cut_for_an_input_of_dynamic_size(plain: Source, tmp_path: Path) -> None:
    convert("convert {} --input auto --output auto --input_shape [1,?,?,3] --output_dir {}", plain.path, tmp_path)
    artifact = openvino.describe(tmp_path / "frozen_inference_graph.xml")
    assert [port.shape for port in artifact.inputs] == [(1, -1, -1, 3)]


@pytest.mark.parametrize("shape", ["1,65,65,3", "(1,65,65,3)", "'[1, 65, 65, 3]'"])
def test_shapes_are_accepted_in_every_usual_notation(plain: Source, tmp_path: Path, shape: str) -> None:
    convert(f"convert --input_model {{}} --input_shape {shape} --output_dir {{}}", plain.path, tmp_path)
    assert openvino.describe(tmp_path / "frozen_inference_graph.xml").inputs[0].shape == (1, 65, 65, 3)


def test_without_names_of_a_cut_the_whole_graph_is_converted(plain: Source, tmp_path: Path) -> None:
    convert("convert {} --output_dir {}", plain.path, tmp_path)
    artifact = openvino.describe(tmp_path / "frozen_inference_graph.xml")
    assert [(port.name, port.shape, port.dtype) for port in artifact.inputs] == [("ImageTensor", (1, -1, -1, 3), "u8")]
    infer = openvino.make_runner(artifact.path, configure(precision="f32"))
    stock = tensorflow.make_runner(plain.path, feed=plain.picture, fetch=plain.answer)
    pixels = tiny.scene(1, 65, 65)[0][None]
    assert (infer(pixels) == stock(pixels)).mean() >= 0.999


@pytest.mark.parametrize("write", [graphs.write_onnx, graphs.write_tflite, graphs.write_keras, graphs.write_ir])
def test_every_format_is_cut_at_its_first_convolution_and_its_last_logits(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    suffix = {"write_onnx": ".onnx", "write_tflite": ".tflite", "write_keras": ".keras", "write_ir": ".xml"}
    path = write(tmp_path / f"graph{suffix[write.__name__]}")
    line = "convert --input_model {} --input auto --output auto --output_dir {} --model_name cut"
    convert(line, path, tmp_path / "out")
    artifact = openvino.describe(tmp_path / "out/cut.xml")
    side = graphs.SIDE
    assert [(port.shape, port.dtype) for port in artifact.inputs] == [((1, side, side, 3), "f32")]
    assert [sorted(port.shape) for port in artifact.outputs] == [[1, 2, side, side]]


def test_a_graph_with_several_outputs_is_converted_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = graphs.write_detector(tmp_path / "text.onnx")
    convert("convert --input_model {} --output_dir {}", path, tmp_path / "out")
    artifact = openvino.describe(tmp_path / "out/text.xml")
    assert [(port.name, port.shape, port.dtype) for port in artifact.inputs] == [("photo", (1, 3, 64, 64), "f32")]
    assert [port.name for port in artifact.outputs] == ["score", "boxes"]
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'out/text.xml'}: whole\n")


def test_external_weights_of_the_graph_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(graphs.write_onnx(tmp_path / "plain.onnx"))
    path, weights = tmp_path / "graph.onnx", tmp_path / "graph.bin"
    onnx.save(model, path, save_as_external_data=True, location=weights.name, size_threshold=0)
    before = weights.read_bytes()
    assert main(["convert", str(path), "--output_dir", str(tmp_path)]) == 2
    assert "graph.bin: is a file of the graph; give another --output_dir" in capsys.readouterr().err
    assert weights.read_bytes() == before
    assert main(["convert", str(path), "--output_dir", str(tmp_path / "ir")]) == 0


def test_the_source_graph_is_not_overwritten(tmp_path: Path) -> None:
    path = graphs.write_ir(tmp_path / "graph.xml")
    before = path.read_bytes()
    assert main(["convert", "--input_model", str(path), "--output_dir", str(tmp_path)]) == 2
    assert path.read_bytes() == before


def test_a_cut_graph_takes_the_size_of_input_shape(plain: Source, tmp_path: Path) -> None:
    line = CONVERTER_LINE.replace("[1,65,65,3]", "[1,33,49,3]").replace("ArgMax", "MobilenetV2/Conv/Conv2D")
    convert(f"{line} --model_name small", plain.path, tmp_path)
    artifact = openvino.describe(tmp_path / "small.xml")
    assert artifact.inputs[0].shape == (1, 33, 49, 3)
    assert artifact.outputs[0].shape == (1, 17, 25, tiny.FEATURES)


@pytest.mark.parametrize("shape", ["", "[1,65.5,65,3]", "65x65", "[1,0,65,3]", "1;65"])
def test_an_invalid_shape_is_refused_before_the_graph_is_read(
    plain: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: str
) -> None:
    words = ["convert", "--input_model", str(plain.path), f"--input_shape={shape}", "--output_dir", str(tmp_path)]
    assert main(words) == 2
    assert f"--input_shape: expected a shape such as [1,224,224,3], received {shape}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_written_file_is_listed_with_its_ports(
    plain: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(CONVERTER_LINE, plain.path, tmp_path)
    first, *ports = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path / 'frozen_inference_graph.xml'}: 0:MobilenetV2/Conv/Conv2D … ArgMax"
    artifact = openvino.describe(tmp_path / "frozen_inference_graph.xml")
    expected = [f"  input {port.name} [1, 65, 65, 3] f32" for port in artifact.inputs]
    expected += [f"  output {port.name} {list(port.shape)} {port.dtype}" for port in artifact.outputs]
    assert ports == expected


def test_an_input_found_by_auto_is_combined_with_a_given_output(
    plain: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "convert --input_model {} --input auto --output MobilenetV2/Conv/Conv2D --input_shape [1,65,65,3]"
    convert(f"{line} --output_dir {{}}", plain.path, tmp_path)
    assert "0:MobilenetV2/Conv/Conv2D … MobilenetV2/Conv/Conv2D" in capsys.readouterr().out
