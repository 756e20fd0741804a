"""Flags of `mo_tf.py` and `ovc`: the IR's outputs equal those of OpenVINO's preprocessing bit by bit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino.preprocess import PrePostProcessor

from danmatte_workbench.cli import main
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.runtimes.core import open_core
from tests.workbench import graphs, own_graphs
from tests.workbench.agreeing import make_inputs

SIDE = graphs.SIDE
Prepare = Callable[[PrePostProcessor], None]


def get_steps(processor: PrePostProcessor, layout: str = "NCHW") -> ov.preprocess.PreProcessSteps:
    """Return the preprocessing steps of the first input, with its layout set."""
    processor.input(0).model().set_layout(ov.Layout(layout))
    processor.input(0).tensor().set_layout(ov.Layout(layout))
    return processor.input(0).preprocess()


def swap(processor: PrePostProcessor) -> None:
    processor.input(0).model().set_layout(ov.Layout("NCHW"))
    processor.input(0).tensor().set_layout(ov.Layout("NHWC"))


FLAGS: dict[str, tuple[list[str], Prepare]] = {
    "mean_values": (["--mean_values", "[10,20,30]"], lambda p: get_steps(p).mean([10, 20, 30])),
    "mean_values by name": (["--mean_values", "photo[10,20,30]"], lambda p: get_steps(p).mean([10, 20, 30])),
    "scale_values": (["--scale_values", "[2,3,4]"], lambda p: get_steps(p).scale([2, 3, 4])),
    "scale": (["--scale", "127.5"], lambda p: get_steps(p).scale(127.5)),
    "both": (
        ["--scale_values=[2,3,4]", "--mean_values=(1 2 3)"],
        lambda p: get_steps(p).mean([1, 2, 3]).scale([2, 3, 4]),
    ),
    "reverse_input_channels": (["--reverse_input_channels"], lambda p: get_steps(p).reverse_channels()),
    "all three": (
        ["--reverse_input_channels", "--mean_values", "1,2,3", "--scale_values", "58.4"],
        lambda p: get_steps(p).reverse_channels().mean([1, 2, 3]).scale(58.4),
    ),
    "layout": (["--layout", "nchw->nhwc"], swap),
    "layout by name": (["--layout", "photo(nchw->nhwc)"], swap),
    "input with a type": (["--input", "photo{u8}"], lambda p: p.input(0).tensor().set_element_type(ov.Type.u8)),
    "input with a shape": (["--input", f"photo[1,3,{SIDE},{SIDE}]"], lambda p: None),
    "input with both": (
        ["--input", f"photo[1,3,{SIDE},{SIDE}]{{f16}}"],
        lambda p: p.input(0).tensor().set_element_type(ov.Type.f16),
    ),
    "input_shape": (["--input_shape", f"[1,3,{SIDE},{SIDE}]"], lambda p: None),
    "nothing": ([], lambda p: None),
}


def infer(model: ov.Model, values: list[np.ndarray]) -> list[np.ndarray]:
    compiled = open_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(values)
    return [np.array(results[number]) for number in range(len(compiled.outputs))]


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_gives_the_outputs_of_openvinos_own_preprocessing(name: str, tmp_path: Path) -> None:
    words, prepare = FLAGS[name]
    path = graphs.write_onnx(tmp_path / "graph.onnx", "softmax")
    assert main(["convert", str(path), *words, "--output_dir", str(tmp_path / "out")]) == 0
    processor = PrePostProcessor(ov.convert_model(path))
    prepare(processor)
    expected = processor.build()
    model = openvino.read(tmp_path / "out/graph.xml")
    assert model.input(0).get_partial_shape() == expected.input(0).get_partial_shape()
    assert model.input(0).get_element_type() == expected.input(0).get_element_type()
    assert model.input(0).get_names() == {"photo"}
    assert model.output(0).get_names() == {"answer"}
    values = make_inputs(tmp_path / "out/graph.xml")
    if name == "mean_values":
        assert not np.array_equal(infer(model, values)[0], infer(ov.convert_model(path), values)[0])
    for ours, theirs in zip(infer(model, values), infer(expected, values), strict=True):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("words", "halved"),
    [
        (["--compress_to_fp16"], True),
        (["--compress_to_fp16=True"], True),
        (["--compress_to_fp16", "False"], False),
        (["--data_type", "half"], True),
        (["--data_type=FP16"], True),
        (["--data_type", "float"], False),
        ([], False),
    ],
)
def test_weights_are_compressed_to_16_bits_only_if_requested(words: list[str], halved: bool, tmp_path: Path) -> None:
    path = graphs.write_onnx(tmp_path / "graph.onnx")
    assert main(["convert", str(path), *words, "--output_dir", str(tmp_path / "out")]) == 0
    ov.save_model(ov.convert_model(path), tmp_path / "own.xml", compress_to_fp16=halved)
    ours, theirs = (openvino.read(tmp_path / name) for name in ("out/graph.xml", "own.xml"))
    kinds = [
        {node.get_element_type().get_type_name() for node in model.get_ops() if node.get_type_name() == "Constant"}
        for model in (ours, theirs)
    ]
    assert ("f16" in kinds[0]) is halved
    assert kinds[0] == kinds[1]
    values = make_inputs(tmp_path / "out/graph.xml")
    assert np.array_equal(infer(ours, values)[0], infer(theirs, values)[0])


@pytest.mark.parametrize("flag", [[], ["-m"], ["-w"], ["--input_model"]])
def test_the_graph_may_be_given_by_a_flag_or_as_an_argument(flag: list[str], tmp_path: Path) -> None:
    path = graphs.write_onnx(tmp_path / "graph.onnx")
    assert main(["convert", *flag, str(path), "-o", str(tmp_path / "out"), "-n", "mine"]) == 0
    assert (tmp_path / "out/mine.bin").exists()


def test_flags_for_saved_models_and_meta_graphs_accept_only_those(tmp_path: Path) -> None:
    saved = graphs.write_saved(tmp_path / "saved")
    own_graphs.write_meta(tmp_path / "model")
    for flag, path in (("--saved_model_dir", saved), ("--input_meta_graph", tmp_path / "model.meta")):
        assert main(["convert", flag, str(path), "--output_dir", str(tmp_path / "out")]) == 0
        assert main(["convert", flag, str(graphs.write_onnx(tmp_path / "graph.onnx"))]) == 2


def test_several_outputs_come_in_the_order_of_the_flag(tmp_path: Path) -> None:
    path = graphs.write_detector(tmp_path / "text.onnx")
    assert main(["convert", str(path), "--output", "boxes,score", "--output_dir", str(tmp_path)]) == 0
    found = openvino.describe(tmp_path / "text.xml")
    assert [port.name for port in found.outputs] == ["boxes", "score"]
    values = make_inputs(tmp_path / "text.xml")
    ours, theirs = infer(openvino.read(found.path), values), infer(ov.convert_model(path), values)
    assert np.array_equal(ours[0], theirs[1])
    assert np.array_equal(ours[1], theirs[0])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--mean_values", "[1,2]"], "--mean_values: expected 3 numbers, one a channel, received 2"),
        (["--mean_values", "foto[1,2,3]"], "has no input foto; did you mean 'photo'?"),
        (["--input", "foto[1,3,64,64]"], "has no input foto; did you mean 'photo'?"),
        (["--input", "photo{u9}"], "unknown type u9; known: f32"),
        (["--input_shape", "[1,3,64,64],[1,4]"], "2 shapes need 2 names in --input"),
        (["--input_shape", "[1,3,64]"], "has the shape [1,3,64,64], received [1,3,64]"),
        (["--input_shape", "[1,3,32,32]", "--output", "anser"], "has no node anser; did you mean 'answer'"),
        (["--scale", "0"], "--scale: expected numbers"),
        (["--scale", "2", "--scale_values", "[2,2,2]"], "exclude each other"),
        (["--layout", "nchw->xyz"], "--layout: expected such as"),
        (["--layout", "nhwcd"], "with this preprocessing"),
        (["--layout", "phot(nchw)"], "graph.onnx: --layout: has no input or output phot; did you mean 'photo'"),
        (["--data_type", "int8"], "--data_type: expected half, FP16, float or FP32, received int8"),
        (["--compress_to_fp16", "perhaps"], "--compress_to_fp16: expected True or False, received perhaps"),
        (["--signature", "serve"], "--signature is for TensorFlow graphs only"),
        (["--freeze", "foto=1"], "--freeze: has no input foto; did you mean 'photo'?"),
        (["--model_name", "../other"], "--model_name: expected a file name without folders"),
        (["--model_name", "/etc/other"], "--model_name: expected a file name without folders"),
        (["--model_name", ".."], "--model_name: expected a file name without folders"),
        (["--model_name", ""], "--model_name: expected a file name without folders"),
        (["--model_name", "a\\b"], "--model_name: expected a file name without folders"),
        (["--input_model", "other.onnx"], "expected one graph"),
    ],
)
def test_an_invalid_flag_is_refused_in_one_line(
    words: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = graphs.write_onnx(tmp_path / "graph.onnx", "softmax")
    assert main(["convert", str(path), *words, "--output_dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert len(error.strip().splitlines()) == 1
    assert not list(tmp_path.glob("out/*"))


def test_convert_without_a_graph_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert"]) == 2
    assert "expected one graph, as PATH or by one of --input_model" in capsys.readouterr().err


def test_mean_values_for_an_input_of_bytes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = graphs.write_tflite(tmp_path / "graph.tflite", bits=8)
    assert main(["convert", str(path), "--mean_values", "[1,2,3]", "--output_dir", str(tmp_path)]) == 2
    assert "takes u8, but mean and scale need floats" in capsys.readouterr().err
