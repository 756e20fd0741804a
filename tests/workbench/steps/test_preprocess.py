"""Colour order, mean and scale inside the graph."""

from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import conversion, preprocessing, reshaping, surgery
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps import Preprocess, StepContext
from tests.workbench import tiny
from tests.workbench.conftest import Build, Describe
from tests.workbench.tiny import Tiny

F32 = configure(precision="f32")


@pytest.mark.parametrize("wanted", [tiny.PLAIN, tiny.BGR], ids=lambda wanted: wanted.name)
def test_pixels_give_the_outputs_of_normalised_floats(describe: Describe, tmp_path: Path, wanted: Tiny) -> None:
    source = describe(wanted)
    cut = conversion.cut(source.path, inputs=source.port, output=source.node, shape=source.shape)
    floats = openvino.save(surgery.replace_head(cut, 1), tmp_path / "floats.xml").path
    model = openvino.read(floats)
    preprocessing.embed_normalisation(model, colour=source.colour, mean=source.mean, scale=source.scale)
    artifact = openvino.save(model, tmp_path / "pictures.xml")
    assert [(port.name, port.dtype, port.shape) for port in artifact.inputs] == [("image", "u8", (1, 65, 65, 3))]

    pixels = np.random.default_rng(0).integers(0, 256, source.shape, dtype=np.uint8)
    colours = pixels[..., ::-1] if wanted.colour == "BGR" else pixels
    normalised = ((colours - np.array(wanted.mean)) / np.array(wanted.scale)).astype(np.float32)
    f32 = configure(precision="f32")
    expected = openvino.make_runner(floats, f32)(normalised)
    assert np.abs(openvino.make_runner(artifact.path, f32)(pixels) - expected).max() < 1e-5


def test_a_graph_that_takes_no_picture_is_refused(describe: Describe) -> None:
    source = describe(tiny.PLAIN)
    inner = conversion.cut(
        source.path,
        inputs="0:logits/semantic/Conv2D",
        output="ArgMax",
        shape=(1, 33, 33, 2 * tiny.FEATURES),
    )
    with pytest.raises(InputError, match=r"expected an input of shape \(1, H, W, 3\), found \[1,33,33,16\]"):
        preprocessing.embed_normalisation(inner, colour="RGB", mean=(0, 0, 0), scale=(1, 1, 1))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"pixels": "NV21"}, "pixels: expected one of RGB, BGR, NV12, found 'NV21'"),
        ({"colour": "NV12"}, "colour: expected one of RGB, BGR, found 'NV12'"),
        ({"mean": (1.0, 2.0)}, "mean: expected three numbers"),
        ({"scale": (1.0, 0.0, 1.0)}, "scale: expected no zero"),
    ],
)
def test_an_invalid_option_is_refused(fields: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Preprocess(**{"colour": "RGB", "mean": (0.0,) * 3, "scale": (1.0,) * 3, **fields})


def applied(built: Build, describe: Describe, tmp_path: Path, pixels: str, *, even: bool) -> tuple[Path, Path]:
    """Return the uint8 RGB graph, and the result of a second preprocess step on it."""
    rgb = openvino.read(built(tiny.PLAIN).path)
    if even:
        reshaping.reshape(rgb, (64, 96))
    given = openvino.save(rgb, tmp_path / "rgb.xml").path
    step = Preprocess("RGB", (0.0,) * 3, (1.0,) * 3, pixels=pixels)
    made, note = step.apply(given, tmp_path / "made.xml", StepContext(describe(tiny.PLAIN), None))
    assert note == f"uint8 {pixels}, network in RGB"
    return given, made.path


def test_bgr_pictures_give_the_outputs_of_rgb_pictures(built: Build, describe: Describe, tmp_path: Path) -> None:
    rgb, bgr = applied(built, describe, tmp_path, "BGR", even=False)
    assert [preprocessing.read_pixel_format(openvino.read(path)) for path in (rgb, bgr)] == ["RGB", "BGR"]
    picture = tiny.scene(3, 65, 65)[0][None]
    difference = openvino.make_runner(rgb, F32)(picture) - openvino.make_runner(bgr, F32)(picture[..., ::-1].copy())
    assert np.abs(difference).max() < 1e-6


def test_nv12_frames_give_the_masks_of_rgb_pictures(built: Build, describe: Describe, tmp_path: Path) -> None:
    rgb, nv12 = applied(built, describe, tmp_path, "NV12", even=True)
    assert openvino.describe(nv12).inputs[0].shape == (1, 96, 96, 1)
    assert preprocessing.read_pixel_format(openvino.read(nv12)) == "NV12"
    picture = tiny.scene(3, 64, 96)[0]
    planar = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)  # rows of Y, then all U, then all V
    chroma = planar[64:].reshape(2, -1)
    frame = np.concatenate([planar[:64].ravel(), chroma.T.ravel()]).reshape(1, 96, 96, 1)
    back = cv2.cvtColor(frame[0], cv2.COLOR_YUV2RGB_NV12)[None]
    answers = openvino.make_runner(rgb, F32)(back) > 0.5, openvino.make_runner(nv12, F32)(frame) > 0.5
    assert answers[0].any()
    assert (answers[0] == answers[1]).mean() > 0.999


def test_nv12_of_odd_size_is_refused(built: Build, describe: Describe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="NV12 needs even height and width, found 65×65; reshape the graph first"):
        applied(built, describe, tmp_path, "NV12", even=False)


def test_the_pixel_format_can_be_changed_only_once(built: Build) -> None:
    model = preprocessing.set_pixel_format(openvino.read(built(tiny.PLAIN).path), "BGR")
    with pytest.raises(InputError, match="expected a graph that takes uint8 RGB"):
        preprocessing.set_pixel_format(model, "BGR")


def test_a_graph_with_channels_first_takes_pictures_after_preprocessing(tmp_path: Path) -> None:
    floats = ops.parameter([1, 3, 8, 12], np.float32)
    model = ov.Model([ops.result(ops.reduce_mean(floats, np.array([2, 3])))], [floats], "means")
    preprocessing.embed_normalisation(model, colour="BGR", mean=(1.0, 2.0, 3.0), scale=(2.0, 4.0, 8.0))
    artifact = openvino.save(model, tmp_path / "graph.xml")
    assert artifact.inputs[0].shape == (1, 8, 12, 3)
    pixels = np.broadcast_to(np.array([10, 20, 30], np.uint8), (1, 8, 12, 3)).copy()
    expected = [(30 - 1) / 2, (20 - 2) / 4, (10 - 3) / 8]
    assert openvino.make_runner(artifact.path, F32)(pixels)[0] == pytest.approx(expected)


def test_changing_the_pixel_format_keeps_the_stored_grid(built: Build) -> None:
    model = openvino.read(built(tiny.PLAIN).path)
    grid = surgery.read_grid(model)
    assert grid is not None
    assert surgery.read_grid(preprocessing.set_pixel_format(model, "BGR")) == grid
