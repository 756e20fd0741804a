"""Detection of blocks, and their replacements."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import fusing
from danmatte_workbench.runtimes import openvino
from tests.workbench import blocks
from tests.workbench.small_graphs import Chain, answer, kinds, named, noise, run


@pytest.fixture
def model(tmp_path: Path) -> ov.Model:
    return openvino.read(blocks.write(tmp_path / "blocks.xml").path)


def fuse(model: ov.Model, stem=(8, 24), widths=(20,), seed: int = 1) -> tuple[ov.Model, tuple[fusing.FeaturePair, ...]]:
    copy = model.clone()
    return copy, fusing.fuse(copy, stem, widths, seed)


def test_fused_maps_keep_their_sizes_and_channels(model: ov.Model) -> None:
    made, pairs = fuse(model)
    for pair in pairs:
        assert list(named(made, pair.student).get_output_shape(0)) == list(
            named(model, pair.teacher).get_output_shape(0)
        )


def test_the_output_of_a_fused_graph_keeps_its_shape_and_range(model: ov.Model) -> None:
    made, _ = fuse(model)
    picture = np.random.default_rng(0).integers(0, 256, (1, 65, 65, 3), np.uint8)
    before, after = answer(model, picture), answer(made, picture)
    assert after.shape == before.shape
    assert (after >= 0).all()
    assert (after <= 1).all()


def test_new_kernels_depend_only_on_the_seed(model: ov.Model) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, 65, 65, 3), np.uint8)
    first, second, other = (answer(fuse(model, seed=seed)[0], picture) for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_as_many_blocks_are_replaced_as_there_are_widths(model: ov.Model) -> None:
    depthwise = [kinds(fuse(model, widths=widths)[0]).count("GroupConvolution") for widths in ((), (20,), (20, 24))]
    assert depthwise == sorted(depthwise, reverse=True)
    assert len(set(depthwise)) == 3


def test_layers_after_the_fused_blocks_are_not_changed(model: ov.Model) -> None:
    made, pairs = fuse(model)
    last = pairs[-1]
    picture = np.random.default_rng(0).integers(0, 256, (1, 65, 65, 3), np.uint8)
    (inner,) = run(fusing.extract_nodes(made.clone(), [last.student]), picture)
    rest = ops.parameter(list(inner.shape), np.float32, name="inner")
    tail = model.clone()
    for port in list(named(tail, last.teacher).output(0).get_target_inputs()):
        port.replace_source_output(rest.output(0))
    tail = ov.Model(tail.get_results(), [rest], "tail")
    assert answer(tail, inner) == pytest.approx(answer(made, picture), abs=1e-4)


def test_a_stem_of_different_strides_is_refused_with_what_was_found(model: ov.Model) -> None:
    wanted = "a stem of 5 strides and 1 blocks after it, of depthwise and pointwise convolutions, found 4 blocks"
    with pytest.raises(InputError, match=f"^expected {wanted}$"):
        fusing.fuse(model, (8,) * 5, (20,), 1)


def test_extracted_outputs_are_in_the_order_of_the_names() -> None:
    model = Chain().conv(4, "first").relu().conv(2, "second").model()
    second, first = run(fusing.extract_nodes(model, ["second", "first"]), noise(model))
    assert (second.shape[1], first.shape[1]) == (2, 4)


def residual(*, stride: int = 1, width: int = 6) -> ov.Model:
    """Return a graph with two linear ends: one at a bias, one at a sum."""
    chain = Chain(17, 17).conv(width, "stem", side=3, stride=stride).relu()
    chain.conv(8, "widen").relu().conv(width, "narrow")
    start = chain.value
    chain.conv(8, "widen2").relu().conv(width, "narrow2")
    chain.value = ops.add(start, chain.value)
    chain.value.set_friendly_name("sum")
    return chain.conv(12, "next").relu().conv(1, "last").model()


def test_ends_of_blocks_are_sums_and_biases_without_an_activation() -> None:
    assert [node.get_friendly_name() for node in fusing.find_block_ends(residual())] == ["narrow/bias", "sum"]


def test_ends_of_graphs_with_the_same_channels_are_paired() -> None:
    pairs = fusing.pair_block_ends(residual(), residual())
    assert [(pair.student, pair.teacher, pair.step) for pair in pairs] == [
        ("narrow/bias", "narrow/bias", 1),
        ("sum", "sum", 1),
    ]


def test_a_coarser_student_is_paired_with_every_second_position() -> None:
    pairs = fusing.pair_block_ends(residual(stride=2), residual())
    assert [pair.step for pair in pairs] == [2, 2]


def test_ends_with_different_channels_are_not_paired() -> None:
    assert fusing.pair_block_ends(residual(width=5), residual()) == ()


def test_a_layer_reports_its_stride_kernel_and_output() -> None:
    model = Chain().conv(4, "first", side=3, stride=2).clamp().conv(2, "second").model()
    first = fusing.ConvLayer(named(model, "first"), named(model, "first/bias"), None)
    second = fusing.ConvLayer(named(model, "second"), named(model, "second/bias"), None)
    assert (first.has_stride, first.is_pointwise) == (True, False)
    assert (second.has_stride, second.is_pointwise) == (False, True)
    assert first.output.get_friendly_name() == "first/bias"
