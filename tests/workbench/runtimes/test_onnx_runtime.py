"""ONNX graphs in ONNX Runtime, as the benchmark of other graphs runs them."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import probing
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.runtimes import onnx_runtime

PICTURE = np.random.default_rng(0).integers(0, 256, (1, 4, 6, 3)).astype(np.float32)


def write(
    path: Path, shape: tuple[int | str, ...] = (1, 3, 4, 6), kind: int = TensorProto.FLOAT, count: int = 1
) -> Path:
    """Write a graph with the outputs ``twice`` and ``more``, and one or more inputs."""
    inputs = [helper.make_tensor_value_info(f"x{number}", kind, shape) for number in range(count)]
    nodes = [
        helper.make_node("Add", ["x0", f"x{count - 1}"], ["twice"]),
        helper.make_node("Add", ["twice", "x0"], ["more"]),
    ]
    outputs = [helper.make_tensor_value_info(name, kind, shape) for name in ("twice", "more")]
    model = helper.make_model(
        helper.make_graph(nodes, "adding", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.save(model, path)
    return path


def test_pictures_are_passed_channels_first_and_all_outputs_returned(tmp_path: Path) -> None:
    twice, more = onnx_runtime.make_runner(write(tmp_path / "a.onnx"), fetches=(), threads=1)(PICTURE)
    assert np.array_equal(np.moveaxis(twice, 1, -1), 2 * PICTURE)
    assert np.array_equal(np.moveaxis(more, 1, -1), 3 * PICTURE)


def test_a_graph_with_channels_last_runs_and_one_output_can_be_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.onnx", ("n", "h", "w", 3), TensorProto.UINT8)
    (more,) = onnx_runtime.make_runner(path, fetches=("more",), threads=1)(PICTURE // 4)
    assert more.dtype == np.uint8
    assert np.array_equal(more, 3 * (PICTURE // 4))


def test_a_graph_that_takes_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected one input, a picture, found x0 tensor\(float\) .*, x1"):
        onnx_runtime.make_runner(write(tmp_path / "two.onnx", count=2), fetches=(), threads=1)
    with pytest.raises(InputError, match=r"expected one input, a picture, found x0 tensor\(float\) \[1, 9\]"):
        onnx_runtime.make_runner(write(tmp_path / "row.onnx", (1, 9)), fetches=(), threads=1)


def test_an_unknown_output_and_a_damaged_file_are_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no output less; it has twice, more"):
        onnx_runtime.make_runner(write(tmp_path / "a.onnx"), fetches=("less",), threads=1)
    (tmp_path / "damaged.onnx").write_bytes(b"not a graph")
    with pytest.raises(InputError, match="ONNX Runtime can't run it"):
        onnx_runtime.make_runner(tmp_path / "damaged.onnx", fetches=(), threads=1)


def test_onnx_runtime_gives_the_outputs_of_the_source_in_openvino(tmp_path: Path) -> None:
    source = probing.inspect(write(tmp_path / "a.onnx"))
    stock, own = Subject.from_stock(source), Subject.from_source(source)
    assert (stock.name, own.name) == ("ONNX Runtime", "OpenVINO, the source")
    picture = PICTURE.astype(np.uint8)
    for one, other in zip(stock.load_all()(picture), own.load_all()(picture), strict=True):
        assert np.allclose(one, other, rtol=1e-4, atol=1e-4)
