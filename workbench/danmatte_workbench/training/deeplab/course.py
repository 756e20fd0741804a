"""The whole training course: the teachers' beliefs, the stages, the exported graph."""

from pathlib import Path

import keras
import numpy as np

from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab import architecture, export, fit, initialise, teacher
from danmatte_workbench.training.deeplab.scenes import Scenes


def train(people: Path, initial: Path, official: Path, folder: Path, seed: int) -> Path:
    """Train on ``people``, on from the frozen graph ``initial``; return the new frozen graph.

    official: the official VOC network, 8-bit TFLite, which is asked beside ``initial`` what it believes. Everything
    is kept in ``folder``: started again, the course goes on where it was stopped.
    """
    for path, expected in ((initial, "a frozen graph trained here"), (official, "the official VOC network, TFLite")):
        if not path.is_file():
            raise InputError(f"{path}: no such file; expected {expected}")
    from danmatte_workbench.runtimes import tflite

    known = initialise.read_graph(initial)
    weights = initialise.dequantize(tflite.read_tensors(official))
    keras.utils.set_random_seed(seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    pictures = sorted((people / "train/images").glob("*.jpg")) + sorted((people / "unlabelled/images").glob("*.jpg"))
    teachers = (teacher.Teacher.official(weights), teacher.Teacher.source(known))
    teacher.teach(teachers, pictures, folder / "beliefs")
    network = architecture.build()
    fresh = initialise.go_on_from(network, known)
    trained = network.get_weights()
    total = [np.zeros_like(weight) for weight in trained]
    scenes = Scenes(people, folder / "beliefs")
    for stage in fit.STAGES:
        trained = fit.run_stage(stage, trained, fresh, scenes, folder, seed)
        total = [before + stage.share * weight for before, weight in zip(total, trained, strict=True)]
    keras.mixed_precision.set_global_policy("float32")
    network = architecture.build()
    network.set_weights(total)
    graph = folder / "frozen_inference_graph.pb"
    export.export(network, graph)
    return graph
