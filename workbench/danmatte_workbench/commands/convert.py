"""``workbench convert``: a graph of any format, or a part of it, to OpenVINO IR."""

import argparse
import re
from pathlib import Path
from typing import Any

from danmatte_workbench.errors import InputError

AUTO = "auto"


def add(parser: argparse.ArgumentParser) -> None:
    """The options that the field knows from OpenVINO's Model Optimizer."""
    parser.add_argument(
        "--input_model",
        type=Path,
        required=True,
        metavar="PATH",
        help="frozen TensorFlow graph (.pb), SavedModel folder, .keras, .h5, .tflite, .onnx or .xml",
    )
    parser.add_argument(
        "--input",
        metavar="0:NODE",
        default=AUTO,
        help="cut here: a node's input port, or auto: the first convolution's (default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        metavar="NODE",
        default=AUTO,
        help="cut here: the last node, or auto: the decision, or the last logits (default: %(default)s)",
    )
    parser.add_argument(
        "--input_shape", metavar="[1,H,W,3]", help="fixed input shape, NHWC (default: the graph's own, or 513×513)"
    )
    parser.add_argument(
        "--output_dir", type=Path, default=Path(), metavar="DIR", help="where the IR goes (default: %(default)s)"
    )
    parser.add_argument("--model_name", metavar="NAME", help="the IR's file name (default: the graph's own)")


def run(arguments: argparse.Namespace) -> int:
    """Write DIR/NAME.xml and .bin."""
    from danmatte_workbench.artifact import detect_format, resolve_graph_path
    from danmatte_workbench.runtimes import openvino

    path = resolve_graph_path(arguments.input_model)
    detect_format(path)
    shape = None if arguments.input_shape is None else _parse_shape(arguments.input_shape)
    model, part = _convert_part(path, (arguments.input, arguments.output), shape)
    target = arguments.output_dir / f"{arguments.model_name or path.stem}.xml"
    if target.exists() and target.samefile(path):
        raise InputError(f"{target}: is the graph itself; give another --output_dir or --model_name")
    artifact = openvino.save(model, target)
    print(f"{artifact.path}: {part}")
    for word, ports in (("input", artifact.inputs), ("output", artifact.outputs)):
        for port in ports:
            print(f"  {word} {port.name} {list(port.shape)} {port.dtype}")
    return 0


def _convert_part(path: Path, names: tuple[str, str], shape: tuple[int, ...] | None) -> tuple[Any, str]:
    """The part between the two names, or the whole graph where it has no such part; and which it is, in words.

    The graph is an OpenVINO model; commands import no library to say so.
    """
    from danmatte_workbench.graph import conversion, probing

    if AUTO not in names and shape is not None:
        return conversion.cut(path, inputs=names[0], output=names[1], shape=shape), " … ".join(names)
    found = probing.find_cut(path)
    shape = shape or (1, *found.size, 3)
    given = [own if name == AUTO else name for name, own in zip(names, (found.port, found.node), strict=True)]
    if given[1] is None:
        return conversion.convert(path, shape=shape), f"whole, since it answers in {len(found.answers)} tensors"
    return conversion.cut(path, inputs=str(given[0]), output=given[1], shape=shape), f"{given[0]} … {given[1]}"


def _parse_shape(text: str) -> tuple[int, ...]:
    match = re.fullmatch(r"[\[(]?(\d+(?:,\d+)*)[\])]?", text.replace(" ", ""))
    shape = tuple(int(side) for side in match[1].split(",")) if match else ()
    if len(shape) != 4 or shape[3] != 3 or min(shape) < 1:
        raise InputError(f"--input_shape: expected [1,H,W,3], received {text}")
    return shape
