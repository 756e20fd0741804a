"""The whole training: predictions of the teachers, the stages, and the exported graph."""

from collections.abc import Mapping
from pathlib import Path

import keras

from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab import architecture, export, fit, initialise, teacher
from danmatte_workbench.training.deeplab.initialise import Kernel
from danmatte_workbench.training.deeplab.precision import choose_precision
from danmatte_workbench.training.deeplab.scenes import Scenes

INITIAL_SHARE = 0.2  # share of the initial weights in the final mean of weights
MARGIN = 0.5  # logits by which a person must exceed the background, because the loss favours large masks


def train(people: Path, initial: Path, official: Path, folder: Path, seed: int) -> Path:
    """Train on ``people``, starting from the frozen graph ``initial``; return the path of the new frozen graph.

    official: the official VOC network, 8-bit TFLite, which is a teacher beside ``initial``. All intermediate results
    are stored in ``folder``, so a stopped training resumes there.
    """
    known = read_initial(initial)
    scenes = prepare_scenes(people, known, official, folder, seed)
    network = architecture.build()
    fresh = initialise.go_on_from(network, known)
    trained = network.get_weights()
    total = [INITIAL_SHARE * weight for weight in trained]
    for stage in fit.STAGES:
        trained = fit.run_stage(stage, fit.InitialWeights(trained, fresh), scenes, folder, seed)
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


def train_student(
    people: Path, initial: Path, official: Path, carved: Mapping[str, Kernel], folder: Path, seed: int
) -> Path:
    """Train a narrower network on ``people``; return the path of its frozen graph, with the stage's input size.

    carved: its kernels by layer name, from ``student.carve`` or from an earlier student's graph. initial: the graph
    from which they were carved; as in ``train``, it and ``official`` provide soft targets. It is also the teacher in
    every step, so that the student's outputs approach its own. All intermediate results are stored in ``folder``.
    Raises InputError if ``carved`` lacks a layer.
    """
    stage = fit.STUDENT
    known = read_initial(initial)
    scenes = prepare_scenes(people, known, official, folder, seed)
    widths = {name: kernel.shape[-1] for name, (kernel, _) in carved.items() if not name.endswith("depthwise")}
    size = (stage.side, stage.side)
    network = architecture.build(size, widths)
    if missing := initialise.go_on_from(network, carved):
        raise InputError(f"expected the kernels of a network trained here; these of its layers are missing: {missing}")
    whole = architecture.build(size)
    initialise.go_on_from(whole, known)
    teacher = keras.Model(whole.input, architecture.Enlarge(size, dtype="float32")(whole.output))
    carved_weights = fit.InitialWeights(network.get_weights(), widths=widths)
    trained = fit.run_stage(stage, carved_weights, scenes, folder, seed, teacher)
    keras.mixed_precision.set_global_policy("float32")
    network = architecture.build(size, widths)
    network.set_weights(trained)
    graph = folder / "student_graph.pb"
    export.export(network, graph)
    return graph


def read_initial(path: Path) -> dict[str, Kernel]:
    """Return the kernels by layer name of a frozen graph trained here. Raises InputError if it doesn't exist."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a frozen graph trained here")
    return initialise.read_graph(path)


def prepare_scenes(people: Path, known: Mapping[str, Kernel], official: Path, folder: Path, seed: int) -> Scenes:
    """Set up Keras for training; return the training pictures with the predictions of both teachers.

    Predictions that ``folder`` holds already aren't computed again. Raises InputError if ``official`` doesn't exist.
    """
    if not official.is_file():
        raise InputError(f"{official}: no such file; expected the official VOC network, TFLite")
    from danmatte_workbench.runtimes import tflite

    weights = initialise.dequantize(tflite.read_tensors(official))
    policy = choose_precision(folder)
    keras.utils.set_random_seed(seed)
    keras.mixed_precision.set_global_policy(policy)
    pictures = sorted((people / "train/images").glob("*.jpg")) + sorted((people / "unlabelled/images").glob("*.jpg"))
    teachers = (teacher.Teacher.from_official(weights), teacher.Teacher.from_source(dict(known)))
    teacher.teach(teachers, pictures, folder / "beliefs")
    return Scenes(people, folder / "beliefs")


def demand(network: keras.Model, margin: float) -> None:
    """Change the last bias so that ``network`` predicts a person only where it did by more than ``margin`` logits."""
    layer = network.get_layer("logits-semantic")
    kernel, bias = layer.get_weights()
    bias[architecture.PERSON] -= margin
    layer.set_weights([kernel, bias])
