"""The whole training course: the teachers' beliefs, the stages, the exported graph."""

from pathlib import Path

import keras

from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab import architecture, export, fit, initialise, teacher
from danmatte_workbench.training.deeplab.scenes import Scenes

INITIAL_SHARE = 0.2  # of the final mean of weights, what training went on from
MARGIN = 0.5  # logits by which a person must be more likely than the background: the loss asks for more than it should


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
    teachers = (teacher.Teacher.from_official(weights), teacher.Teacher.from_source(known))
    teacher.teach(teachers, pictures, folder / "beliefs")
    network = architecture.build()
    fresh = initialise.go_on_from(network, known)
    trained = network.get_weights()
    total = [INITIAL_SHARE * weight for weight in trained]
    scenes = Scenes(people, folder / "beliefs")
    for stage in fit.STAGES:
        trained = fit.run_stage(stage, trained, fresh, scenes, folder, seed)
        if stage.share:
            mean = fit.average_kept(stage, folder)
            total = [before + stage.share * weight for before, weight in zip(total, mean, strict=True)]
    keras.mixed_precision.set_global_policy("float32")
    network = architecture.build()
    network.set_weights(total)
    demand(network, MARGIN)
    graph = folder / "frozen_inference_graph.pb"
    export.export(network, graph)
    return graph


def demand(network: keras.Model, margin: float) -> None:
    """Let ``network`` decide for a person only where it did by more than ``margin`` logits."""
    layer = network.get_layer("logits-semantic")
    kernel, bias = layer.get_weights()
    bias[architecture.PERSON] -= margin
    layer.set_weights([kernel, bias])
