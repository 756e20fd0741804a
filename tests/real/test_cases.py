"""Graphs of many kinds: each is converted or refused as its row says, and has the outputs of its own runtime."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.cli import main
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import probing
from danmatte_workbench.reading import PLAIN, ReadOptions
from danmatte_workbench.runtimes import openvino
from tests.real.shared import frames, needed
from tests.workbench.agreeing import difference, make_inputs, run_ir, run_source

pytestmark = [pytest.mark.slow, pytest.mark.data]

CASES, MODELS = "cases/graphs", "models"
FLOAT, HALF = 1e-4, 2e-3  # of the largest value: float32, and what 16 bits hold


@dataclass(frozen=True)
class Case:
    """A graph, the flags that it needs, and how far the IR may be from its own runtime: a share of the largest value.

    same: for graphs that round to 8 bits inside, the share of values that must be within ``most``: whatever lies
    between two steps may go to either, and does so in TensorFlow itself with another of its kernels.
    """

    name: str
    flags: str = ""
    options: ReadOptions = PLAIN
    most: float = FLOAT
    same: float = 1.0


GRAPHS = {
    case.name + case.flags: case
    for case in (
        Case(f"{CASES}/cls.onnx"),
        Case(f"{CASES}/crop257.pb"),
        Case(f"{CASES}/det_nms.onnx"),
        Case(f"{CASES}/dict_out.keras"),
        Case(f"{CASES}/east_like.pb"),
        Case(f"{CASES}/nchw.pb"),
        Case(f"{CASES}/norank.pb"),
        Case(f"{CASES}/phase_train.pb", "--freeze phase_train=false", ReadOptions(freeze=(("phase_train", False),))),
        Case(f"{CASES}/resize_to_input.onnx"),
        Case(f"{CASES}/rgba.onnx"),
        Case(f"{CASES}/seg_dyn.keras", "--input_shape [1,96,96,3]", ReadOptions(shape=(1, 96, 96, 3))),
        Case(f"{CASES}/seg_dynrange.tflite", most=HALF),  # its own kernels round activations to 8 bits on the way
        Case(f"{CASES}/seg_fp16.onnx", most=HALF),
        Case(f"{CASES}/seg_int8io.tflite", most=0.0, same=0.98),
        Case(f"{CASES}/seg_lambda.keras", "--trust-lambda", ReadOptions(trust_lambda=True)),
        Case(f"{CASES}/seg_mixed16.keras", most=HALF),
        Case(f"{CASES}/sm_two_sigs", "--signature embed", ReadOptions(signature="embed")),
        Case(f"{CASES}/sm_two_sigs", "--signature detect", ReadOptions(signature="detect")),
        Case(f"{CASES}/ssd_cf1.pb"),
        Case(f"{CASES}/two_in.onnx"),
        Case(f"{CASES}/vq.onnx"),
        Case(f"{CASES}/vq_hard.onnx"),
        Case(f"{MODELS}/deeplab_portrait_dm05/deeplab_nchw.pb"),
        Case(f"{MODELS}/deeplab_portrait_dm05/frozen_inference_graph.pb"),
        Case(f"{MODELS}/deeplab_portrait_dm05/frozen_quant_inference_graph.pb", most=0.06, same=0.97),
        Case(f"{MODELS}/deeplabv3_voc/deeplabv3_257_mv_gpu.tflite"),
        Case(f"{MODELS}/deeplabv3_voc/deeplabv3_mnv2_dm05_pascal_quant.tflite", most=0.0, same=0.9),
        Case(f"{MODELS}/deeplabv3_voc/deeplabv3_mnv2_pascal_quant.tflite", most=0.0, same=0.9),
        Case(f"{MODELS}/others/mobilenet_v1_0.25_128_quant.tflite", most=0.02, same=0.98),
        Case(f"{MODELS}/others/mobilenet_v2_1.0_224_quant.tflite", most=0.02, same=0.98),
        Case(f"{MODELS}/others/movenet_single_pose_lightning_ptq.tflite", most=0.05, same=0.5),
    )
}


@pytest.mark.parametrize("real", [False, True], ids=["random", "real"])
@pytest.mark.parametrize("name", GRAPHS)
def test_the_ir_gives_the_outputs_of_the_graphs_own_runtime(name: str, real: bool, tmp_path: Path) -> None:
    case = GRAPHS[name]
    path = needed(case.name)
    assert main(["convert", str(path), *shlex.split(case.flags), "--output_dir", str(tmp_path), "-n", "ir"]) == 0
    found = openvino.describe(tmp_path / "ir.xml")
    values = make_inputs(found.path, frames(1, 256)[0][0] if real else None)
    theirs = run_source(path, values, [port.name for port in found.outputs], case.options)
    for one, other in zip(run_ir(found.path, values), theirs, strict=True):
        assert one.shape == other.shape
        if case.same == 1.0:
            assert difference(one, other) <= case.most
            continue
        near = np.abs(one.astype(float) - other) <= case.most * np.abs(other.astype(float)).max() + 1e-6
        assert near.mean() >= case.same


INPUTS = {
    "crop257.pb": {"ImageTensor": (1, 257, 257, 3)},
    "det_nms.onnx": {"x": (1, 3, 128, 128)},
    "east_like.pb": {"input_images": (-1, -1, -1, 3)},
    "nchw.pb": {"input": (1, 3, 128, 128)},
    "norank.pb": {"input": (1, 128, 128, 3)},
    "rgba.onnx": {"x": (1, 4, 128, 128)},
    "two_in.onnx": {"x": (1, 3, 128, 128), "p": (1, 1, 128, 128)},
}
OUTPUTS = {
    "dict_out.keras": ["geo", "score"],
    "det_nms.onnx": ["sel", "bo"],
    "ssd_cf1.pb": ["detection_boxes", "detection_scores"],
}


@pytest.mark.parametrize("name", INPUTS)
def test_conversion_keeps_names_and_shapes_of_inputs(name: str, tmp_path: Path) -> None:
    assert main(["convert", str(needed(f"{CASES}/{name}")), "-o", str(tmp_path), "-n", "ir"]) == 0
    assert {port.name: port.shape for port in openvino.describe(tmp_path / "ir.xml").inputs} == INPUTS[name]


@pytest.mark.parametrize("name", OUTPUTS)
def test_conversion_keeps_names_of_outputs(name: str, tmp_path: Path) -> None:
    assert main(["convert", str(needed(f"{CASES}/{name}")), "-o", str(tmp_path), "-n", "ir"]) == 0
    assert [port.name for port in openvino.describe(tmp_path / "ir.xml").outputs] == OUTPUTS[name]


REFUSED = {
    "pointer.onnx": "is a Git LFS pointer",
    "unfrozen.pb": "it isn't frozen: the file has no value for the variable w; give the SavedModel or the .meta file",
    "sm_string": "it takes encoded pictures (DecodeJpeg)",
    "sm_two_sigs": "has the signatures detect, embed; choose one with --signature",
    "seg_lambda.keras": "if you trust the file's origin, use --trust-lambda",
    "seg_dyn.keras": "give one: --input_shape [1,H,W,3]",
    "east_like.pb --input_shape [1,513,513,3]": "the nearest that fit: 480, 512, 544",
    "crop257.pb --input_shape [1,513,513,3]": "the size fixed inside: 257",
    "norank.pb --input_shape [1,513,513,3]": "the size fixed inside: 128",
    "phase_train.pb --freeze phase_train=3": "input phase_train takes bool, received 3",
}


@pytest.mark.parametrize("line", REFUSED)
def test_a_graph_that_cannot_be_converted_is_reported_in_one_line(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *flags = shlex.split(line)
    path = needed(f"{CASES}/{name}")
    assert main(["convert", str(path), *flags, "-o", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"{path}: " in error
    assert REFUSED[line] in error
    assert len(error.strip().splitlines()) == 1


CUT = {
    "resize_to_input.onnx": ((1, 513, 513, 3), "f32"),
    "nchw.pb": ((1, 128, 128, 3), "f32"),
    "seg_fp16.onnx": ((1, 128, 128, 3), "f32"),
    "seg_mixed16.keras": ((1, 128, 128, 3), "f32"),
    "crop257.pb": ((1, 257, 257, 3), "f32"),
    "sm_string": ((1, 64, 64, 3), "f32"),
    "seg_int8io.tflite": ((1, 128, 128, 3), "f32"),
}


@pytest.mark.parametrize("name", CUT)
def test_an_automatic_cut_takes_floats_with_channels_last(name: str, tmp_path: Path) -> None:
    words = ["--input", "auto", "--output", "auto", "-o", str(tmp_path), "-n", "cut"]
    assert main(["convert", str(needed(f"{CASES}/{name}")), *words]) == 0
    (given,) = openvino.describe(tmp_path / "cut.xml").inputs
    assert (given.shape, given.dtype) == CUT[name]
    (answer, *_) = run_ir(tmp_path / "cut.xml", make_inputs(tmp_path / "cut.xml"))
    assert np.ptp(answer) or name == "crop257.pb"  # which sees one class everywhere


SIZES = {
    "crop257.pb": (257, 257),
    "norank.pb": (128, 128),
    "east_like.pb": (512, 512),
    "vq.onnx": (513, 513),
    "resize_to_input.onnx": (513, 513),
}


@pytest.mark.parametrize("name", SIZES)
def test_a_size_that_the_graph_requires_replaces_the_guess(name: str) -> None:
    assert probing.find_cut(needed(f"{CASES}/{name}")).size == SIZES[name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rgba.onnx", "expected a picture of three channels as input, found [1,4,128,128]"),
        ("two_in.onnx", "expected one input, a picture, found 2: x, p"),
        ("phase_train.pb", "make the other inputs constants: --freeze NAME=VALUE"),
        ("sm_string", "takes encoded pictures; cut it after the decoder"),
        ("unfrozen.pb", "it isn't frozen"),
    ],
)
def test_a_graph_that_cannot_be_optimized_is_reported_in_one_line(name: str, reason: str) -> None:
    with pytest.raises(InputError) as refused:
        probing.inspect(needed(f"{CASES}/{name}"))
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unsupported_operation_is_reported_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = needed(f"{MODELS}/peers/selfie_mlkit_256_f16.tflite")
    assert main(["convert", str(path), "-o", str(tmp_path)]) == 2
    assert "OpenVINO doesn't support Convolution2DTransposeBias" in capsys.readouterr().err
