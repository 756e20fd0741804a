"""Undoing the replacement of a stride by dilation."""

from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import conversion, surgery
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.source import Source
from tests.workbench import tiny
from tests.workbench.conftest import Describe


def logits(source: Source) -> openvino.ov.Model:
    """Return the graph from its first convolution to its logits, in the form in which steps read it."""
    return conversion.cut(source.path, inputs=source.port, output="logits/semantic/BiasAdd", shape=source.shape)


def test_doubling_the_stride_gives_the_graph_as_trained(describe: Describe, tmp_path: Path) -> None:
    """The tiny graph of stride 2 has the same weights as the one of stride 4."""
    fine, coarse = logits(describe(tiny.PLAIN)), logits(describe(tiny.COARSE))
    assert surgery.double_stride(fine) == ((33, 33), (17, 17))
    made, meant = (
        openvino.save(model, tmp_path / f"{name}.xml") for name, model in (("made", fine), ("meant", coarse))
    )
    assert made.outputs[0].shape == meant.outputs[0].shape == (1, 17, 17, 2)
    values = np.random.default_rng(0).uniform(-1, 1, (1, 65, 65, 3)).astype(np.float32)
    f32 = configure(precision="f32")
    difference = openvino.make_runner(made.path, f32)(values) - openvino.make_runner(meant.path, f32)(values)
    assert np.abs(difference).max() < 1e-4


def test_a_graph_without_dilation_is_refused(describe: Describe) -> None:
    with pytest.raises(InputError, match="no stride was removed"):
        surgery.double_stride(logits(describe(tiny.COARSE)))
