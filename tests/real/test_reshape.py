"""Other input sizes on real graphs: the outputs are TensorFlow's at that size, and time falls with the area."""

import time
from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.configuration import configure
from danmatte_workbench.graph import conversion, reshaping, surgery
from danmatte_workbench.runtimes import openvino, tensorflow
from tests.real.resized_graphs import write_resized
from tests.real.shared import PORTRAIT, default_graph, frames, needed

pytestmark = [pytest.mark.slow, pytest.mark.data]
F32 = configure(precision="f32")
OWN = (513, 513)
PORT = "0:MobilenetV2/Conv/Conv2D"
SIZES = [(449, 449), (385, 385), (321, 321), (257, 257), (289, 513), (288, 512)]


@pytest.fixture(scope="module", params=["portrait", "default"])
def graph(request: pytest.FixtureRequest) -> Path:
    return needed(PORTRAIT) if request.param == "portrait" else default_graph()


def cut(graph: Path) -> openvino.ov.Model:
    return conversion.cut(graph, inputs=PORT, output="ArgMax", shape=(1, *OWN, 3))


def normalised(size: tuple[int, int]) -> np.ndarray:
    """A real picture's top left corner as the first convolution takes it."""
    return frames(1, 577)[0][:, : size[0], : size[1]].astype(np.float32) / 127.5 - 1


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "×".join(map(str, size)))
def test_a_reshaped_graph_gives_the_outputs_of_tensorflow_at_that_size(
    graph: Path, size: tuple[int, int], tmp_path: Path
) -> None:
    theirs = write_resized(graph, tmp_path / "resized.pb", before=OWN, after=size)
    feed = tensorflow.find_feeding_tensor(graph, PORT)
    picture = normalised(size)
    scores, classes = (
        tensorflow.make_runner(theirs, feed=feed, fetch=name)(picture)
        for name in ("logits/semantic/BiasAdd:0", "ArgMax:0")
    )
    model = cut(graph)
    assert reshaping.reshape(model, size) == OWN
    decided = openvino.make_runner(openvino.save(model, tmp_path / "classes.xml").path, F32)(picture)
    assert decided.shape == classes.shape == (1, *size)
    assert (decided == classes).mean() >= 0.9999

    person = surgery.replace_head(cut(graph), 1)
    reshaping.reshape(person, size)
    answer = openvino.make_runner(openvino.save(person, tmp_path / "person.xml").path, F32)(picture)[..., 0]
    margin = scores[..., 1].astype(np.float64) - scores[..., 0]
    assert np.abs(answer - 1 / (1 + np.exp(-margin))).max() < 2e-3


def test_inference_time_falls_with_the_area(graph: Path, tmp_path: Path) -> None:
    runs = []
    for number, size in enumerate((OWN, (289, 513))):
        model = surgery.replace_head(cut(graph), 1)
        reshaping.reshape(model, size)
        path = openvino.save(model, tmp_path / f"{number}.xml").path
        runs.append((openvino.make_runner(path, F32), normalised(size)))
    seconds: list[list[float]] = [[], []]
    for _ in range(12):
        for (run, picture), taken in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run(picture)
            taken.append(time.perf_counter() - start)
    square, wide = (min(taken[2:]) for taken in seconds)
    assert wide / square < 0.70  # 289 of 513 lines are 56 %
