"""The whole training course: the teacher's beliefs, the stages, the exported graph."""

from pathlib import Path

import keras
import numpy as np

from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab import architecture, export, fit, initialise, teacher
from danmatte_workbench.training.deeplab.scenes import Scenes


def train(people: Path, initial: Path, folder: Path, seed: int) -> Path:
    """Train on ``people``, from the 8-bit TFLite network ``initial``; return the frozen graph.

    Everything is kept in ``folder``: started again, the course goes on where it was stopped.
    """

    if not initial.is_file():
        raise InputError(f"{initial}: no such file; expected the official VOC network, 8-bit TFLite")
    from danmatte_workbench.runtimes import tflite

    weights = initialise.dequantize(tflite.read_tensors(initial))
    keras.utils.set_random_seed(seed)
    pictures = sorted(people.glob("*/images/*.jpg"))
    teacher.teach(weights, [picture for picture in pictures if picture.parts[-3] != "val"], folder / "beliefs")
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    network = architecture.build()
    fresh = initialise.start_from(network, weights)
    scenes = Scenes(people, folder / "beliefs")
    trained = network.get_weights()
    total = [np.zeros_like(weight) for weight in trained]
    for stage in fit.STAGES:
        trained = fit.run_stage(stage, trained, fresh, scenes, folder, seed)
        total = [before + stage.share * weight for before, weight in zip(total, trained, strict=True)]
    keras.mixed_precision.set_global_policy("float32")
    network = architecture.build()
    network.set_weights(total)
    graph = folder / "frozen_inference_graph.pb"
    export.export(network, graph)
    return graph
