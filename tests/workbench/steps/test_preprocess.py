"""Colour order, mean and scale inside the graph."""

from pathlib import Path

import numpy as np
import pytest

from tests.workbench import tiny
from tests.workbench.conftest import Describe
from tests.workbench.tiny import Tiny
from workbench.backends import openvino, surgery
from workbench.configuration import Configuration
from workbench.errors import InputError


@pytest.mark.parametrize("wanted", [tiny.PLAIN, tiny.BGR], ids=lambda wanted: wanted.name)
def test_pixels_give_what_normalised_floats_gave(describe: Describe, tmp_path: Path, wanted: Tiny) -> None:
    source = describe(wanted)
    cut = openvino.cut(source.path, inputs=source.port, output=source.node, shape=source.shape)
    floats = openvino.save(surgery.logits_head(cut, 1), tmp_path / "floats.xml").path
    pictures = surgery.take_pictures(openvino.read(floats), colour=source.colour, mean=source.mean, scale=source.scale)
    artifact = openvino.save(pictures, tmp_path / "pictures.xml")
    assert [(port.name, port.dtype, port.shape) for port in artifact.inputs] == [("image", "u8", (1, 65, 65, 3))]

    pixels = np.random.default_rng(0).integers(0, 256, source.shape, dtype=np.uint8)
    colours = pixels[..., ::-1] if wanted.colour == "BGR" else pixels
    normalised = ((colours - np.array(wanted.mean)) / np.array(wanted.scale)).astype(np.float32)
    f32 = Configuration(precision="f32")
    expected = openvino.runner(floats, f32)(normalised)
    assert np.abs(openvino.runner(artifact.path, f32)(pixels) - expected).max() < 1e-5


def test_a_graph_that_takes_no_picture_is_refused(describe: Describe) -> None:
    source = describe(tiny.PLAIN)
    inner = openvino.cut(
        source.path,
        inputs="0:logits/semantic/Conv2D",
        output="ArgMax",
        shape=(1, 33, 33, 2 * tiny.FEATURES),
    )
    with pytest.raises(InputError, match=r"expected an input of shape \(1, H, W, 3\), found \[1,33,33,16\]"):
        surgery.take_pictures(inner, colour="RGB", mean=(0, 0, 0), scale=(1, 1, 1))
