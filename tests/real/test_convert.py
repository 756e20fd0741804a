"""`workbench convert` on real graphs, with the command line of OpenVINO's Model Optimizer."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.cli import main
from danmatte_workbench.configuration import configure
from danmatte_workbench.runtimes import openvino, tensorflow
from tests.real.shared import PORTRAIT, default_graph, frames, needed

pytestmark = [pytest.mark.slow, pytest.mark.data]

LINE = (
    "convert --input_model {} --input 0:MobilenetV2/Conv/Conv2D --output ArgMax "
    "--input_shape [1,513,513,3] --output_dir {}"
)


@pytest.fixture(params=["portrait", "default"])
def graph(request: pytest.FixtureRequest) -> Path:
    return needed(PORTRAIT) if request.param == "portrait" else default_graph()


def test_model_optimizers_command_line_gives_the_classes_of_tensorflow(graph: Path, tmp_path: Path) -> None:
    assert main(shlex.split(LINE.format(graph, tmp_path))) == 0
    infer = openvino.make_runner(tmp_path / f"{graph.stem}.xml", configure(precision="f32"))
    entry = tensorflow.find_feeding_tensor(graph, "0:MobilenetV2/Conv/Conv2D")
    normalise = tensorflow.make_runner(graph, feed="ImageTensor:0", fetch=entry)
    decide = tensorflow.make_runner(graph, feed="ImageTensor:0", fetch="ArgMax:0")
    agreeing, people = [], []
    for picture in frames(12):
        classes = decide(picture).reshape(513, 513)
        agreeing.append((infer(normalise(picture)).reshape(513, 513) == classes).mean())
        people.append((classes == 1).mean())
    assert np.mean(agreeing) >= 0.999
    assert min(agreeing) >= 0.995
    assert max(people) > 0.1, "the graph found no people, so agreement proves nothing"


def test_operations_that_only_tensorflow_needs_are_removed(graph: Path, tmp_path: Path) -> None:
    assert main(shlex.split(LINE.format(graph, tmp_path))) == 0
    model = openvino.read(tmp_path / f"{graph.stem}.xml")
    kinds = {node.get_type_name() for node in model.get_ops()}
    assert not {"SpaceToBatch", "BatchToSpace", "BatchNormInference"} & kinds
    assert [len(model.inputs), len(model.outputs)] == [1, 1]


def test_an_unknown_node_name_is_reported_with_the_nearest_name(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = LINE.replace("MobilenetV2/Conv/Conv2D", "MobileNetV2/Conv/Conv2D")
    assert main(shlex.split(line.format(graph, tmp_path))) == 2
    assert "MobilenetV2/Conv/Conv2D" in capsys.readouterr().err
