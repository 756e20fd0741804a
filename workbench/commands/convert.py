"""``workbench convert``: a frozen graph, or a part of it, to OpenVINO IR."""

import argparse
import re
from pathlib import Path

from workbench.errors import InputError


def add(parser: argparse.ArgumentParser) -> None:
    """The options that the field knows from OpenVINO's Model Optimizer."""
    parser.add_argument("--input_model", type=Path, required=True, metavar="FILE", help="frozen TensorFlow graph, .pb")
    parser.add_argument(
        "--input", metavar="0:NODE", help="cut here: a node's input port; without it, found by structure"
    )
    parser.add_argument("--output", metavar="NODE", help="cut here: the last node; without it, found by structure")
    parser.add_argument("--input_shape", metavar="[1,H,W,3]", default="[1,513,513,3]", help="fixed input shape, NHWC")
    parser.add_argument("--output_dir", type=Path, default=Path(), metavar="DIR", help="where the IR goes")
    parser.add_argument("--model_name", metavar="NAME", help="the IR's file name; the graph's own by default")


def run(arguments: argparse.Namespace) -> int:
    """Write DIR/NAME.xml and .bin."""
    from workbench.backends import openvino

    path = arguments.input_model
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    start, end = arguments.input, arguments.output
    if start is None or end is None:
        from workbench.backends import tensorflow

        found = tensorflow.structure(path)
        start, end = start or found.first_convolution, end or found.classes
    model = openvino.cut(path, inputs=start, output=end, shape=_shape(arguments.input_shape))
    artifact = openvino.save(model, arguments.output_dir / f"{arguments.model_name or path.stem}.xml")
    print(f"{artifact.path}: {start} … {end}")
    for word, ports in (("input", artifact.inputs), ("output", artifact.outputs)):
        for port in ports:
            print(f"  {word} {port.name} {list(port.shape)} {port.dtype}")
    return 0


def _shape(text: str) -> tuple[int, ...]:
    match = re.fullmatch(r"[\[(]?(\d+(?:,\d+)*)[\])]?", text.replace(" ", ""))
    shape = tuple(int(side) for side in match[1].split(",")) if match else ()
    if len(shape) != 4 or shape[3] != 3 or min(shape) < 1:
        raise InputError(f"--input_shape: expected [1,H,W,3], received {text}")
    return shape
