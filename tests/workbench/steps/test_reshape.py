"""Other input sizes: the result equals a graph exported at that size, or there is an error."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte.contract.grid import Grid
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import conversion, reshaping, surgery
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.source import Source
from danmatte_workbench.steps import Reshape, Shrink, StepContext
from tests.workbench import tiny
from tests.workbench.conftest import Build, Describe
from tests.workbench.tiny import Tiny

F32 = configure(precision="f32")
LARGE, EVEN = Tiny(name="large", side=97), Tiny(name="even", side=64)


def cut(source: Source) -> ov.Model:
    return conversion.cut(source.path, inputs=source.port, output=source.node, shape=source.shape)


def answer(model: ov.Model, path: Path, values: np.ndarray) -> np.ndarray:
    return openvino.make_runner(openvino.save(model, path).path, F32)(values).copy()


@pytest.mark.parametrize("wanted", [LARGE, EVEN], ids=lambda wanted: wanted.name)
@pytest.mark.parametrize("head", [False, True], ids=["cut", "head"])
def test_a_reshaped_graph_equals_one_exported_at_that_size(
    describe: Describe, tmp_path: Path, wanted: Tiny, head: bool
) -> None:
    made, meant = cut(describe(tiny.PLAIN)), cut(describe(wanted))
    if head:
        made, meant = surgery.replace_head(made, 1), surgery.replace_head(meant, 1)
    assert reshaping.reshape(made, (wanted.side, wanted.side)) == (65, 65)
    values = np.random.default_rng(0).uniform(-1, 1, (1, wanted.side, wanted.side, 3)).astype(np.float32)
    ours, theirs = answer(made, tmp_path / "made.xml", values), answer(meant, tmp_path / "meant.xml", values)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(np.float64) - theirs).max() < 1e-5
    assert surgery.read_grid(made) == surgery.read_grid(meant)


def test_reshaping_there_and_back_keeps_the_outputs(describe: Describe, tmp_path: Path) -> None:
    made, meant = (surgery.replace_head(cut(describe(tiny.PLAIN)), 1) for _ in range(2))
    reshaping.reshape(made, (49, 81))
    assert reshaping.reshape(made, (65, 65)) == (49, 81)
    values = np.random.default_rng(0).uniform(-1, 1, (1, 65, 65, 3)).astype(np.float32)
    difference = answer(made, tmp_path / "made.xml", values) - answer(meant, tmp_path / "meant.xml", values)
    assert np.abs(difference).max() < 1e-6
    assert surgery.read_grid(made) == surgery.read_grid(meant)


@pytest.mark.parametrize(
    ("wanted", "place"),
    [(tiny.PLAIN, Grid.align_corners), (tiny.HALVES, Grid.half_pixel), (tiny.LEGACY, Grid.asymmetric)],
    ids=["aligned", "halves", "cornered"],
)
def test_the_stored_grid_moves_with_the_sizes(built: Build, describe: Describe, tmp_path: Path, wanted: Tiny, place):
    context = StepContext(describe(wanted), None)
    artifact, note = Reshape(49, 80).apply(built(wanted).path, tmp_path / "graph.xml", context)
    assert note == "65×65 became 80×49"
    assert (artifact.inputs[0].shape, artifact.outputs[0].shape) == ((1, 49, 80, 3), (1, 25, 40, 1))
    assert surgery.read_grid(openvino.read(artifact.path)) == place((49, 80), (25, 40))


@pytest.mark.parametrize("size", [(65, 113), (64, 113), (50, 33)], ids=str)
def test_stride_and_shape_can_be_changed_in_any_order(describe: Describe, tmp_path: Path, size) -> None:
    first, second = cut(describe(tiny.PLAIN)), cut(describe(tiny.PLAIN))
    reshaping.reshape(first, size)
    assert surgery.double_stride(first)[1] == tuple(-(-side // 4) for side in size)
    surgery.double_stride(second)
    reshaping.reshape(second, size)
    values = np.random.default_rng(0).uniform(-1, 1, (1, *size, 3)).astype(np.float32)
    answers = [answer(surgery.replace_head(model, 1), tmp_path / "graph.xml", values) for model in (first, second)]
    assert np.abs(answers[0] - answers[1]).max() < 1e-6


def test_a_quantized_graph_can_be_reshaped(built: Build, tmp_path: Path) -> None:
    model = openvino.read(built(tiny.PLAIN, "int8").path)
    reshaping.reshape(model, (33, 97))
    pixels = tiny.scene(1, 33, 97)[0][None]
    exact = openvino.read(built(tiny.PLAIN).path)
    reshaping.reshape(exact, (33, 97))
    both = [answer(each, tmp_path / "graph.xml", pixels) > 0.5 for each in (model, exact)]
    assert both[0].shape == (1, 17, 49, 1)
    assert (both[0] == both[1]).mean() > 0.98


def classifier(*, flat: list[int] | None) -> ov.Model:
    """Return a convolution and a dense layer on all its places, or on their mean."""
    picture = ops.parameter([1, 32, 32, 3], np.float32, name="image")
    features = ops.convolution(
        ops.transpose(picture, np.array([0, 3, 1, 2])),
        np.ones((4, 3, 3, 3), np.float32),
        [2, 2],
        [1, 1],
        [1, 1],
        [1, 1],
    )
    if flat is None:
        features = ops.avg_pool(features, [1, 1], [0, 0], [0, 0], [16, 16], True)
    vector = ops.reshape(features, np.array(flat or [1, -1]), special_zero=False)
    weights = np.ones((4 if flat is None else 1024, 2), np.float32)
    dense = ops.matmul(vector, weights, False, False, name="dense")
    return ov.Model([ops.result(dense)], [picture], "classifier")


def test_a_global_pooling_stays_global(tmp_path: Path) -> None:
    model = classifier(flat=None)
    reshaping.reshape(model, (48, 80))
    values = np.random.default_rng(0).uniform(0, 1, (1, 48, 80, 3)).astype(np.float32)
    found = answer(model, tmp_path / "graph.xml", values)
    assert found.shape == (1, 2)
    assert 0 < found[0, 0] < 4 * 27


@pytest.mark.parametrize(
    ("flat", "says"),
    [([1, 1024], "^Reshape Reshape_.* was made for one input size"), ([1, -1], "^MatMul dense was made for one input")],
    ids=["constant", "dense"],
)
def test_a_dense_layer_on_positions_is_refused_by_name(flat: list[int], says: str) -> None:
    with pytest.raises(InputError, match=says):
        reshaping.reshape(classifier(flat=flat), (48, 48))


def test_a_resize_to_a_size_that_no_map_has_is_refused(describe: Describe) -> None:
    model = cut(describe(tiny.PLAIN))
    last = [node for node in model.get_ordered_ops() if node.get_type_name() == "Interpolate"][-1]
    last.input(1).replace_source_output(ops.constant(np.array([40, 40])).output(0))
    model.validate_nodes_and_infer_types()
    with pytest.raises(InputError, match="ResizeBilinear_2 has the target 40×40; its new size would be unknown"):
        reshaping.reshape(model, (97, 97))


@pytest.mark.parametrize("side", [15, 4097, 33.0, True, "33"], ids=str)
def test_an_invalid_side_is_refused(side: object) -> None:
    with pytest.raises(InputError, match="reshape: width: expected a whole number from 16 to 4096, found"):
        Reshape(height=33, width=side)


@pytest.mark.parametrize(
    ("size", "share", "part"),
    [
        ((513, 513), 0.8, (417, 417)),
        ((512, 512), 0.8, (416, 416)),
        ((513, 513), 0.75, (385, 385)),
        ((289, 513), 0.8, (225, 417)),
        ((65, 65), 0.5, (33, 33)),
        ((65, 65), 0.8, (65, 65)),
    ],
)
def test_a_scaled_size_lies_on_the_same_grid(size: tuple[int, int], share: float, part: tuple[int, int]) -> None:
    assert reshaping.scale_size(size, share) == part


def test_a_size_that_would_not_shrink_is_refused(built: Build, describe: Describe, tmp_path: Path) -> None:
    context = StepContext(describe(tiny.PLAIN), None)
    with pytest.raises(InputError, match=r"shrink: 65×65 is too small for a share of 0\.8"):
        Shrink(0.8).apply(built(tiny.PLAIN).path, tmp_path / "graph.xml", context)


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.2])
def test_a_share_of_shrinking_outside_0_to_1_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="shrink: share: expected a number between 0 and 1, found"):
        Shrink(share)
