"""Head and stride, on graphs of a few layers: the outputs are checked against direct computation."""

import numpy as np
import openvino as ov
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openvino import opset13 as ops

from danmatte.contract.grid import Grid
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import surgery
from danmatte_workbench.runtimes import openvino
from tests.workbench.small_graphs import Chain, answer, kinds, named, noise, run

SIDES = st.integers(5, 65)
MAKERS = [Grid.align_corners, Grid.asymmetric, Grid.half_pixel]


def segmenter(
    classes: int, *, mode: str = "align_corners", bias: bool = True, decided: bool = True
) -> tuple[ov.Model, ov.Model]:
    """Return a graph with that many classes that decides at full resolution, and the one that ends in its logits."""
    chain = Chain(17, 17, last=True).conv(6, "stem", side=3, stride=2).relu().conv(classes, "logits", bias=bias)
    logits = chain.model().clone()
    chain.resize(17, 17, mode)
    if decided:
        chain.value = ops.squeeze(ops.topk(chain.value, np.int32(1), 1, "max", "none").output(1), np.array([1]))
    return chain.model(), logits


def margin(scores: np.ndarray, person: int) -> np.ndarray:
    return scores[:, person] - np.delete(scores, person, axis=1).max(axis=1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("classes", "person"), [(2, 1), (2, 0), (3, 2), (21, 15)])
def test_the_head_outputs_the_probability_of_the_person(classes: int, person: int, bias: bool) -> None:
    model, logits = segmenter(classes, bias=bias)
    picture = noise(model)
    expected = 1 / (1 + np.exp(-margin(answer(logits, picture), person)))
    found = answer(surgery.replace_head(model, person), picture)
    assert found.shape == (1, 9, 9, 1)
    assert found[..., 0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 1), (1, 2, 9, 9), (1, 1, 9, 9), (1, 1, 1, 9)])
def test_terms_of_any_shape_added_to_the_logits_are_kept(shape: tuple[int, ...]) -> None:
    chain = Chain(9, 9, last=True).conv(2, "logits", bias=False)
    chain.value = ops.add(chain.value, np.random.default_rng(4).normal(0, 1, shape).astype(np.float32))
    logits = chain.model().clone()
    model = chain.resize(18, 18).model()
    picture = noise(model)
    expected = 1 / (1 + np.exp(-margin(answer(logits, picture), 1)))
    assert answer(surgery.replace_head(model, 1), picture)[..., 0] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_probability_is_above_one_half_where_the_person_was_decided(classes: int) -> None:
    model, logits = segmenter(classes)
    picture = noise(model, 7)
    scores = answer(logits, picture)
    clear = np.abs(margin(scores, 1)) > 1e-5
    found = answer(surgery.replace_head(model, 1), picture)[..., 0] > 0.5
    assert np.array_equal(found[clear], (scores.argmax(axis=1) == 1)[clear])
    assert 0 < found.mean() < 1


def test_two_classes_need_no_comparison_and_more_do() -> None:
    assert not {"ReduceMax", "Gather"} & set(kinds(surgery.replace_head(segmenter(2)[0], 1)))
    assert {"ReduceMax", "Gather"} <= set(kinds(surgery.replace_head(segmenter(3)[0], 1)))


def test_a_head_on_computed_kernels_gives_the_same_probability() -> None:
    chain = Chain(9, 9, last=True)
    kernel = ops.multiply(ops.reduce_mean(chain.picture, np.array([0, 1, 2, 3]), keep_dims=False), np.float32(1))
    kernels = ops.multiply(kernel, np.random.default_rng(3).normal(0, 1, (2, 3, 1, 1)).astype(np.float32))
    chain.value = ops.convolution(chain.value, kernels, [1, 1], [0, 0], [0, 0], [1, 1])
    logits = chain.model().clone()
    chain.resize(18, 18)
    model = chain.model()
    picture = noise(model) + 1
    found = answer(surgery.replace_head(model, 1), picture)
    expected = 1 / (1 + np.exp(-margin(answer(logits, picture), 1)))
    assert found[..., 0] == pytest.approx(expected, abs=1e-5)


def test_a_graph_without_a_resize_has_a_half_pixel_grid() -> None:
    model = Chain(16, 16, last=True).conv(2, "logits", side=3, stride=2).model()
    assert surgery.read_grid(surgery.replace_head(model, 1)) == Grid.half_pixel((16, 16), (8, 8))


@pytest.mark.parametrize(
    ("mode", "make"),
    [("align_corners", MAKERS[0]), ("asymmetric", MAKERS[1]), ("half_pixel", MAKERS[2])],
)
def test_the_grid_is_that_of_the_resize(mode: str, make, tmp_path) -> None:
    headed = surgery.replace_head(segmenter(2, mode=mode)[0], 1)
    assert surgery.read_grid(headed) == make((17, 17), (9, 9))
    saved = openvino.save(headed, tmp_path / "graph.xml")
    assert surgery.read_grid(openvino.read(saved.path)) == make((17, 17), (9, 9))


def test_an_unknown_resize_is_refused() -> None:
    with pytest.raises(InputError, match="expected the logits' resize to be one of align_corners, asymmetric"):
        surgery.replace_head(segmenter(2, mode="pytorch_half_pixel")[0], 1)


@pytest.mark.parametrize("person", [-1, 3, 99])
def test_an_unknown_class_is_refused(person: int) -> None:
    with pytest.raises(InputError, match=f"^class {person} isn't one of the graph's 3$"):
        surgery.replace_head(segmenter(3)[0], person)


def test_a_graph_without_logits_keeps_the_resolution_of_its_output() -> None:
    model = Chain(9, 9, last=True).conv(2, "logits").relu().resize(18, 18).model()
    headed = surgery.replace_head(model, 1)
    assert list(headed.output(0).get_shape()) == [1, 18, 18, 1]


def test_a_graph_of_any_size_is_refused() -> None:
    model = segmenter(2)[0]
    model.reshape([1, -1, -1, 3])
    with pytest.raises(InputError, match=r"^expected a graph of fixed size, found"):
        surgery.replace_head(model, 1)


def test_a_graph_without_a_stored_grid_has_none() -> None:
    assert surgery.read_grid(segmenter(2)[0]) is None


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MAKERS), st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.integers(2, 8))
def test_a_moved_grid_equals_one_made_for_that_size(make, before, after, stride: int) -> None:
    maps = [tuple((side - 1) // stride + 1 for side in size) for size in (before, after)]
    if min(map(min, maps)) < 2 or len({m((before), maps[0]) for m in MAKERS}) < 3:
        return  # in maps of one place, several kinds of grids are the same
    moved = surgery.move_grid(make(before, maps[0]), (before, maps[0]), (after, maps[1]))
    assert moved == make(after, maps[1])


def test_a_grid_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"doesn't belong to any resize from \(9, 9\) to \(17, 17\)"):
        surgery.move_grid(Grid(3.0, 3.0, 0.0, 0.0), ((17, 17), (9, 9)), ((33, 33), (17, 17)))


def dilated(*, dilation: int, stride: int, side: int = 33) -> ov.Model:
    """Return a stem, two depthwise convolutions with the given stride and dilation, image pooling, and a resize.

    The same weights are used at (dilation 2, stride 1) and at (dilation 1, stride 2).
    """
    chain = Chain(side, side, last=True, seed=4).conv(6, "stem", side=3, stride=2).relu()
    chain.depthwise("strides", stride=stride).relu().depthwise("dilates", dilation=dilation).relu()
    features, places = chain.value, list(chain.value.get_output_shape(0))[2:]
    chain.value = ops.avg_pool(features, [1, 1], [0, 0], [0, 0], places, True)
    pooled = chain.conv(4, "pool").resize(*places).value
    chain.value = ops.concat([features, pooled], 1)
    return chain.conv(2, "logits").resize(side, side).model()


@pytest.mark.parametrize("side", [33, 65])
def test_doubling_the_stride_gives_the_graph_as_trained(side: int) -> None:
    fine, coarse = dilated(dilation=2, stride=1, side=side), dilated(dilation=1, stride=2, side=side)
    old, new = surgery.double_stride(fine)
    assert old == ((side + 1) // 2,) * 2
    assert new == ((side + 3) // 4,) * 2
    picture = noise(fine)
    assert answer(fine, picture) == pytest.approx(answer(coarse, picture), abs=1e-4)


def test_doubling_the_stride_keeps_other_resizes() -> None:
    model = dilated(dilation=2, stride=1)
    surgery.double_stride(model)
    targets = [
        node.input_value(1).get_node().get_data().tolist()
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Interpolate"
    ]
    assert targets == [[9, 9], [33, 33]]


def test_the_output_stride_is_computed_before_and_after_doubling() -> None:
    assert surgery.compute_output_stride(dilated(dilation=2, stride=1)) == 2
    model = dilated(dilation=4, stride=1)
    surgery.double_stride(model)
    assert named(model, "dilates").get_attributes()["dilations"] == [2, 2]
    assert surgery.compute_output_stride(model) == 4


@pytest.mark.parametrize("make", [lambda: dilated(dilation=1, stride=2), lambda: segmenter(2)[0]])
def test_a_graph_without_dilation_is_refused_for_doubling(make) -> None:
    with pytest.raises(InputError, match="so no stride was removed"):
        surgery.double_stride(make())


def test_the_head_keeps_only_the_first_output() -> None:
    """The head uses the first output only, so everything else is removed."""
    model, _ = segmenter(2, decided=False)
    assert len(run(surgery.replace_head(model, 1), noise(model))) == 1
