"""Generated graphs of many kinds: the IR gives the outputs of the graph's own runtime, or the graph is refused."""

import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.cli import main
from danmatte_workbench.graph import probing
from danmatte_workbench.reading import PLAIN, ReadOptions
from danmatte_workbench.runtimes import openvino
from tests.workbench import graphs, own_graphs
from tests.workbench.agreeing import difference, make_inputs, run_ir, run_source


@dataclass(frozen=True)
class Kind:
    """How a graph is written, names and shapes of the IR's inputs and outputs, and ``most``, the maximum difference."""

    write: Callable[..., object]
    name: str
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    flags: str = ""
    options: ReadOptions = PLAIN
    how: dict[str, object] = field(default_factory=dict)
    most: float = 1e-4


S = own_graphs.SIDE
KINDS = {
    "a switch, frozen": Kind(
        own_graphs.write_switched,
        "switched.pb",
        {"photo": (1, S, S, 3)},
        {"answer": (1, S, S, 4)},
        "--freeze training=false",
        ReadOptions(freeze=(("training", False),)),
    ),
    "a switch, frozen the other way, as mo does": Kind(
        own_graphs.write_switched,
        "switched.pb",
        {"photo": (1, S, S, 3)},
        {"answer": (1, S, S, 4)},
        "--input 'photo,training->True'",
        ReadOptions(freeze=(("training", True),)),
    ),
    "a loop of TensorFlow 1": Kind(own_graphs.write_loop, "loop.pb", {"photo": (1, S, S, 3)}, {"answer": (1, S, S, 3)}),
    "a size fixed inside": Kind(
        own_graphs.write_fixed_inside, "inside.pb", {"photo": (1, S, S, 3)}, {"answer": (1, S // 2, S // 2)}
    ),
    "multiples of 32": Kind(
        own_graphs.write_multiples, "multiples.pb", {"photo": (-1, -1, -1, 3)}, {"answer": (-1, -1, -1, 2)}
    ),
    "no rank": Kind(
        own_graphs.write_unranked, "unranked.pb", {"photo": (1, S, S, 3)}, {"answer": (1, S // 2, S // 2, 2)}
    ),
    "channels first": Kind(
        own_graphs.write_channels_first, "nchw.pb", {"photo": (1, 3, S, S)}, {"answer": (1, 2, S // 2 - 1, S // 2 - 1)}
    ),
    "simulated 8 bits around zero": Kind(
        own_graphs.write_simulated,
        "qat.pb",
        {"photo": (1, S, S, 3)},
        {"answer": (1, S // 2, S // 2, 4)},
        how={"low": -1.0, "high": 1.0},
        most=6 / 255 / 2,  # a value between two steps may be rounded to either, and the largest one is over 2
    ),
    "simulated 8 bits of pixels": Kind(
        own_graphs.write_simulated,
        "qat.pb",
        {"photo": (1, S, S, 3)},
        {"answer": (1, S // 2, S // 2, 4)},
        how={"low": 0.0, "high": 255.0},
        most=6 / 255 / 2,
    ),
    "a checkpoint": Kind(
        lambda path: own_graphs.write_meta(path.with_suffix("")),
        "model.meta",
        {"photo": (1, 8, 8, 3)},
        {"answer": (1, 8, 8, 4)},
    ),
    "a signature of named outputs": Kind(
        own_graphs.write_signatures,
        "saved",
        {"photo": (-1, S, S, 3)},
        {"boxes": (-1, S // 2, S // 2, 4), "scores": (-1, S // 2, S // 2, 1)},
        "--signature find",
        ReadOptions(signature="find"),
    ),
    "a second signature": Kind(
        own_graphs.write_signatures,
        "saved",
        {"photo": (1, S, S, 3)},
        {"embedding": (1, 4)},
        "--signature embed",
        ReadOptions(signature="embed"),
    ),
    "two inputs and a dictionary": Kind(
        own_graphs.write_named_keras,
        "named.keras",
        {"photo": (1, S, S, 3), "mask": (1, S, S, 1)},
        {"map": (1, S, S, 4), "score": (1, 3)},
    ),
    "layers of 16 bits": Kind(
        own_graphs.write_named_keras,
        "half.keras",
        {"photo": (1, S, S, 3), "mask": (1, S, S, 1)},
        {"map": (1, S, S, 4), "score": (1, 3)},
        how={"half": True},
        most=2e-3,  # the precision of 16-bit floats
    ),
    "any size, given": Kind(
        own_graphs.write_any_size_keras,
        "free.keras",
        {"photo": (1, 48, 80, 3)},
        {"person": (1, 48, 80, 2)},
        "--input_shape [1,48,80,3]",
        ReadOptions(shape=(1, 48, 80, 3)),
    ),
    "a lambda that is trusted": Kind(
        own_graphs.write_lambda,
        "lambda.keras",
        {"photo": (1, S, S, 3)},
        {"map": (1, S - 2, S - 2, 2)},
        "--trust-lambda",
        ReadOptions(trust_lambda=True),
    ),
    "two outputs": Kind(
        graphs.write_detector,
        "text.onnx",
        {"photo": (1, 3, S, S)},
        {"score": (1, 1, S // 2, S // 2), "boxes": (1, 5, S // 2, S // 2)},
    ),
    "floats of tflite": Kind(
        graphs.write_tflite,
        "f.tflite",
        {"serving_default_photo:0": (1, S, S, 3)},
        {"StatefulPartitionedCall_1:0": (1, S, S, 2)},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_ir_gives_the_outputs_of_the_graphs_own_runtime(kind: str, tmp_path: Path) -> None:
    case = KINDS[kind]
    path = tmp_path / case.name
    case.write(path, **case.how)
    assert main(["convert", str(path), *shlex.split(case.flags), "--output_dir", str(tmp_path), "-n", "ir"]) == 0
    found = openvino.describe(tmp_path / "ir.xml")
    assert {port.name: port.shape for port in found.inputs} == case.inputs
    assert {port.name: port.shape for port in found.outputs} == case.outputs
    values = make_inputs(found.path)
    theirs = run_source(path, values, [port.name for port in found.outputs], case.options)
    for one, other in zip(run_ir(found.path, values), theirs, strict=True):
        assert difference(one, other) <= case.most
        assert np.ptp(other), "the output is constant, so agreement proves nothing"


REFUSED = {
    "a pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"),
        "p.onnx",
        "",
        "is a Git LFS pointer, not the file itself: fetch the file with `git lfs pull`",
    ),
    "variables": (
        lambda path: own_graphs.write_meta(path.with_suffix("")),
        "model.pb",
        "",
        "isn't frozen: the file has no value for the variable kernel; give the SavedModel or the .meta",
    ),
    "signatures": (
        own_graphs.write_signatures,
        "saved",
        "",
        "has the signatures decode, embed, find; choose one with --signature",
    ),
    "strings": (own_graphs.write_signatures, "saved", "--signature decode", "it takes encoded pictures (DecodeJpeg)"),
    "a lambda": (own_graphs.write_lambda, "lambda.keras", "", "if you trust the file's origin, use --trust-lambda"),
    "any size": (own_graphs.write_any_size_keras, "free.keras", "", "give one: --input_shape [1,H,W,3]"),
    "a size that doesn't fit inside": (
        own_graphs.write_fixed_inside,
        "inside.pb",
        "--input_shape [1,96,96,3]",
        "the size fixed inside: 64",
    ),
    "no multiple of 32": (
        own_graphs.write_multiples,
        "multiples.pb",
        "--input_shape [1,500,500,3]",
        "the nearest that fit: 480, 512, 544",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_unsupported_graph_is_refused_in_one_line_with_the_reason(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, name, flags, reason = REFUSED[kind]
    path = tmp_path / name
    write(path)
    status = main(["convert", str(path), *shlex.split(flags), "--output_dir", str(tmp_path / "out")])
    error = capsys.readouterr().err
    assert status == 2
    assert f"{path}: " in error
    assert reason in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("write", "name", "size", "given"),
    [
        (own_graphs.write_fixed_inside, "inside.pb", None, (S, S)),
        (own_graphs.write_multiples, "multiples.pb", None, (512, 512)),
        (own_graphs.write_multiples, "multiples.pb", (256, 320), (256, 320)),
        (own_graphs.write_unranked, "unranked.pb", None, (S, S)),
    ],
)
def test_a_size_fixed_inside_the_graph_replaces_the_default_size(
    write: Callable[[Path], Path], name: str, size: tuple[int, int] | None, given: tuple[int, int], tmp_path: Path
) -> None:
    assert probing.inspect(write(tmp_path / name), size).size == given


def test_a_graph_cut_after_its_picture_decoder_takes_pixels(tmp_path: Path) -> None:
    path = own_graphs.write_signatures(tmp_path / "saved")
    words = ["--signature", "decode", "--input", "auto", "--output_dir", str(tmp_path)]
    assert main(["convert", str(path), *words]) == 0
    found = openvino.describe(tmp_path / "saved.xml")
    assert [port.shape for port in found.inputs] == [(1, S, S, 3)]
    assert [port.name for port in found.outputs] == ["embedding"]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98])
@pytest.mark.parametrize("suffix", [".pb", ".onnx", ".tflite", ".keras", ".xml", ".meta"])
def test_a_damaged_file_is_refused_in_one_line_without_a_traceback(
    suffix: str, share: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / f"whole{suffix}"
    {
        ".pb": own_graphs.write_loop,
        ".onnx": graphs.write_onnx,
        ".tflite": graphs.write_tflite,
        ".keras": own_graphs.write_lambda,
        ".xml": graphs.write_ir,
        ".meta": lambda path: own_graphs.write_meta(path.with_suffix("")),
    }[suffix](whole)
    content = whole.read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content[: int(len(content) * share)] + b"\xff" * 40)
    assert main(["convert", str(path), "--output_dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"{path}: " in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize("name", ["row.keras", "row.h5", "damaged.onnx"])
def test_standard_error_has_only_messages_of_the_workbench(tmp_path: Path, name: str) -> None:
    import keras

    if name == "damaged.onnx":
        (tmp_path / name).write_bytes(b"\x08\x07\x12\x01x:\xff\x01")
    else:
        keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)]).save(tmp_path / name)
    line = [sys.executable, "-m", "danmatte_workbench", "convert", str(tmp_path / name), "--output_dir", str(tmp_path)]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    own = [text for text in ended.stderr.splitlines() if text.startswith("workbench convert: ")]
    assert ended.stderr.splitlines() == own
    assert (ended.returncode, len(own)) == ((2, 1) if name == "damaged.onnx" else (0, 0))
