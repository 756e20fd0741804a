"""Layers, their times and shares, and pairs of two graphs."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openvino import opset13 as ops

from danmatte_workbench.artifact import Artifact, Port
from danmatte_workbench.benchmark.layers import (
    LayerTime,
    list_source_kernels,
    make_inputs,
    name_by_source,
    pair_layers,
    profile_layers,
    sum_up,
    take_names,
    time_start,
)
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.runtimes import openvino, profiling
from danmatte_workbench.runtimes.profiling import read_precision
from danmatte_workbench.source import Source
from tests.workbench import graphs, tiny
from tests.workbench.conftest import Build

F32 = configure(precision="f32")


def layer(name: str, kind: str = "Convolution", precision: str = "i8", ms: float = 1.0) -> LayerTime:
    return LayerTime(name, kind, precision, "jit", ms)


def test_a_profile_lists_the_executed_layers_in_order(built: Build) -> None:
    graph = built(tiny.PLAIN, "int8")
    layers = profile_layers(graph, F32, make_inputs(graph), runs=3)
    kinds = [found.kind for found in layers]
    assert kinds.count("Convolution") + kinds.count("GroupConvolution") >= 4
    assert kinds.index("Convolution") < kinds.index("GroupConvolution")
    assert all(found.ms >= 0 for found in layers)
    assert sum(found.ms for found in layers) > 0
    assert not any(found.kernel == "undef" for found in layers)


def test_a_profile_reports_the_precision_that_each_layer_computes_in(built: Build) -> None:
    before, after = (
        profile_layers(built(tiny.PLAIN, name), F32, make_inputs(built(tiny.PLAIN)), runs=1)
        for name in ("float", "int8")
    )
    assert {found.precision for found in before if "Convolution" in found.kind} == {"f32"}
    assert "i8" in {found.precision for found in after if "Convolution" in found.kind}


def test_read_precision_returns_that_of_the_compiled_graph(built: Build) -> None:
    assert read_precision(built(tiny.PLAIN).path, F32) == "f32"


def test_layer_times_are_summed_by_kind_and_sorted_longest_first() -> None:
    found = sum_up([layer("a", "Add", ms=1), layer("b"), layer("c", ms=2)], lambda each: each.kind)
    assert [(share.word, share.layers, share.ms, share.part) for share in found] == [
        ("Convolution", 2, 3, 0.75),
        ("Add", 1, 1, 0.25),
    ]
    assert sum_up([], lambda each: each.kind) == ()


def test_layers_pair_in_order_if_both_graphs_have_as_many_of_a_kind_else_by_name() -> None:
    before = [layer("c1"), layer("p", "Pad"), layer("c2"), layer("r", "Reorder")]
    after = [layer("q1"), layer("q2"), layer("r", "Reorder"), layer("s", "Reorder")]
    names = [tuple(side and side.name for side in pair) for pair in pair_layers(before, after)]
    assert names == [("c1", "q1"), ("p", None), ("c2", "q2"), ("r", "r"), (None, "s")]


@dataclass(frozen=True)
class Frozen:
    path: Path = Path("graph.pb")


def test_only_an_ir_can_be_profiled() -> None:
    with pytest.raises(InputError, match=r"graph.pb: expected an IR \(.xml\) to profile"):
        profile_layers(Frozen(), F32, [])


def test_profiling_without_pictures_is_refused(built: Build) -> None:
    with pytest.raises(InputError, match="expected pictures and runs, received 0 and 3"):
        profile_layers(built(tiny.PLAIN), F32, [], runs=3)


def test_a_missing_device_is_reported_as_a_machine_error(built: Build) -> None:
    graph = built(tiny.PLAIN)
    with pytest.raises(MachineError, match="NPU can't run"):
        profile_layers(graph, configure(device="NPU"), make_inputs(graph), runs=1)


@pytest.mark.parametrize(
    ("ports", "says"),
    [
        ((), "x.xml: expected one input, found 0"),
        ((Port("a", (1, 3), "f32"), Port("b", (1, 3), "f32")), "x.xml: expected one input, found 2"),
        ((Port("a", (1, 3), "boolean"),), "x.xml: expected an input of f32, f16, u8, i32, i64, found boolean"),
    ],
)
def test_inputs_for_which_no_noise_can_be_made_are_refused(ports: tuple[Port, ...], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_inputs(Artifact(Path("x.xml"), "", ports))


def test_a_graph_with_an_output_of_dynamic_shape_is_profiled(tmp_path: Path) -> None:
    """The shape of a detector's output isn't known before it runs."""
    picture = ops.parameter([1, 8, 8, 1], np.float32)
    found = ops.non_zero(ops.greater(picture, np.float32(0.5)))
    near = ops.multiply(ops.convert(found, "f32"), np.float32(2))
    artifact = openvino.save(ov.Model([near], [picture]), tmp_path / "finder.xml")
    layers = profile_layers(artifact, F32, make_inputs(artifact), runs=1)
    assert layers
    assert all(item.ms >= 0 and item.size_bytes >= 0 for item in layers)


def test_inputs_are_pictures_for_graphs_that_take_pictures_and_noise_for_others(built: Build) -> None:
    given = make_inputs(built(tiny.PLAIN), limit=2)
    assert [(value.shape, value.dtype.name) for value in given] == [((1, 65, 65, 3), "uint8")] * 2
    other = Artifact(Path("x.xml"), "", (Port("x", (1, 3, 8, 8), "f32"),))
    (noise,) = make_inputs(other)
    assert (noise.shape, noise.dtype.name) == ((1, 3, 8, 8), "float32")
    with pytest.raises(InputError, match=r"expected an input of fixed size, found \[1, -1\]"):
        make_inputs(Artifact(Path("x.xml"), "", (Port("x", (1, -1), "f32"),)))


LAYERS = st.lists(
    st.builds(layer, st.sampled_from("abcdef"), st.sampled_from(["Convolution", "Add", "Pad"]), ms=st.floats(0.0, 9.0)),
    max_size=8,
)


@given(LAYERS, LAYERS)
def test_every_layer_of_both_graphs_is_in_exactly_one_pair(before: list[LayerTime], after: list[LayerTime]) -> None:
    pairs = pair_layers(before, after)
    assert [left for left, _ in pairs if left] == before
    assert sorted((right for _, right in pairs if right), key=str) == sorted(after, key=str)
    assert all(left is None or right is None or left.kind == right.kind for left, right in pairs)


@given(LAYERS)
def test_sums_by_kind_contain_every_layer_and_its_time(layers: list[LayerTime]) -> None:
    found = sum_up(layers, lambda each: each.kind)
    assert sum(share.layers for share in found) == len(layers)
    assert sum(share.ms for share in found) == pytest.approx(sum(each.ms for each in layers))
    assert [share.ms for share in found] == sorted((share.ms for share in found), reverse=True)


@pytest.mark.parametrize(
    ("executed", "kernel", "precision"),
    [("brgconv_avx512_I8", "brgconv_avx512", "i8"), ("undef_FP32", "", "f32"), ("FP16", "", "f16")],
)
def test_kernel_and_precision_are_parsed_from_the_executed_type(
    monkeypatch: pytest.MonkeyPatch, executed: str, kernel: str, precision: str
) -> None:
    times = {("conv", "Convolution", executed): [3.0, 1.0, 2.0]}
    monkeypatch.setattr(profiling, "time_layers", lambda *_, **__: times)
    monkeypatch.setattr(profiling, "describe_layers", lambda *_: {})
    (found,) = profile_layers(Artifact(Path("x.xml"), ""), F32, [])
    assert found == LayerTime("conv", "Convolution", precision, kernel, 2.0)


def test_a_profile_reports_operations_bytes_and_why_layers_stay_in_floats(built: Build) -> None:
    graph, quantized = built(tiny.PLAIN), built(tiny.PLAIN, "int8")
    layers = profile_layers(graph, F32, make_inputs(graph), runs=1)
    heavy = [found for found in layers if found.weights]
    assert len(heavy) >= 4
    first = heavy[0]
    outputs, _, rows, columns = first.weights
    # A convolution does one multiply-add per weight and output position.
    places = first.operations / (2 * np.prod(first.weights))
    assert places == int(places) > 1
    assert first.size_bytes > 4 * outputs * places
    assert rows == columns
    assert not any(found.stays_float for found in layers)
    reasons = {found.stays_float for found in profile_layers(quantized, F32, make_inputs(quantized), runs=1)}
    assert "" in reasons
    assert any(reason.startswith("there is no 8-bit kernel for ") for reason in reasons)


def test_layers_with_weights_get_their_names_in_the_source() -> None:
    wide, deep, last = ((16, 3, 3, 3), (16, 1, 1, 3, 3), (2, 16, 1, 1))
    source = [replace(layer(name), weights=weights) for name, weights in (("a", wide), ("b", deep), ("c", last))]
    pruned = [replace(layer("1"), weights=(8, 3, 3, 3)), layer("r", "Reorder"), replace(layer("2"), weights=deep)]
    found = name_by_source(source, [*pruned, replace(layer("3"), weights=(2, 8, 1, 1))])
    assert [item.source for item in found] == ["a", "", "b", "c"]
    assert [item.name for item in found] == ["1", "r", "2", "3"]
    other = name_by_source(source, [replace(layer("1"), weights=(8, 3, 5, 5)), replace(layer("2"), weights=deep)])
    assert [item.source for item in other] == ["", ""]  # unknown from the first layer that doesn't match


def test_time_start_measures_compilation_first_inference_and_memory(built: Build) -> None:
    graph = built(tiny.PLAIN)
    figures = time_start(graph.path, F32, make_inputs(graph)[0])
    assert figures["compile_ms"] > 0
    assert figures["first_ms"] > 0
    assert figures["memory_bytes"] > 10**6


def test_layers_take_names_in_order_from_kernels_of_the_same_shape() -> None:
    small, large = (8, 3, 3, 3), (16, 8, 1, 1)
    layers = [replace(layer(name), weights=shape) for name, shape in (("1", small), ("2", large), ("3", large))]
    found = take_names([*layers, layer("r", "Reorder")], [("head", large), ("stem", small), ("tail", large)])
    assert [item.source for item in found] == ["stem", "head", "tail", ""]
    assert take_names(layers, [("other", (1, 1, 1, 1))]) == tuple(layers)
    (after,) = name_by_source(found[:1], [replace(layer("q"), weights=(4, 3, 3, 3))])
    assert after.source == "stem"


def test_kernels_of_a_frozen_graph_are_named_by_their_scopes(plain: Source, built: Build) -> None:
    kernels = list_source_kernels(plain.path)
    graph = built(tiny.PLAIN)
    layers = [found for found in profile_layers(graph, F32, make_inputs(graph), runs=1) if found.weights]
    named = take_names(layers, kernels)
    assert len(kernels) >= 4
    assert all(name and not name.endswith(":0") for name, _ in kernels)
    # Only heads are replaced and kernel sizes are kept, so nearly all layers get their names.
    assert sum(bool(found.source) for found in named) >= len(layers) - 1


def test_kernels_of_an_onnx_graph_are_listed_with_names_and_shapes(tmp_path: Path) -> None:
    path = tmp_path / "segmenter.onnx"
    graphs.write_onnx(path, "argmax")
    kernels = list_source_kernels(path)
    assert kernels
    assert all(name and len(shape) in (4, 5) for name, shape in kernels)


def test_no_kernel_names_are_listed_for_tflite() -> None:
    assert list_source_kernels(Path("graph.tflite")) == []
