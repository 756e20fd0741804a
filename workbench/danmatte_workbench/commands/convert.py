"""``workbench convert``: convert a graph of any format, or a part of it, to OpenVINO IR."""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from danmatte_workbench.commands import converter_flags as flags
from danmatte_workbench.commands.reading_flags import add_reading, read_options
from danmatte_workbench.errors import InputError

if TYPE_CHECKING:
    from danmatte_workbench.graph.export import InputRequest
    from danmatte_workbench.reading import ReadOptions

AUTO = "auto"
_HALVES = {"half": True, "fp16": True, "f16": True, "float": False, "fp32": False, "f32": False}


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments, named as in OpenVINO's Model Optimizer and ovc."""
    _add_graph(parser)
    _add_part(parser)
    parser.add_argument(
        "-o", "--output_dir", type=Path, default=Path(), metavar="DIR", help="output folder (default: %(default)s)"
    )
    parser.add_argument("-n", "--model_name", metavar="NAME", help="file name of the IR (default: that of the graph)")
    parser.add_argument(
        "--compress_to_fp16",
        nargs="?",
        const="True",
        default="False",
        metavar="BOOL",
        help="store weights in 16 bits, which halves the file (default: %(default)s)",
    )
    parser.add_argument(
        "--data_type", metavar="TYPE", help="half or FP16 like --compress_to_fp16; float or FP32 (default: float)"
    )


def _add_graph(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="PATH",
        help="frozen TensorFlow graph (.pb), SavedModel folder, .keras, .h5, .tflite, .onnx, .xml or .meta",
    )
    parser.add_argument("-m", "-w", "--input_model", type=Path, metavar="PATH", help="the same as PATH (default: PATH)")
    parser.add_argument("--saved_model_dir", type=Path, metavar="DIR", help="folder of a SavedModel (default: PATH)")
    parser.add_argument("--input_meta_graph", type=Path, metavar="FILE", help="TensorFlow 1 .meta file (default: PATH)")
    parser.add_argument(
        "--input_checkpoint",
        type=Path,
        metavar="PATH",
        help="checkpoint with the variables of a .meta or an unfrozen .pb (default: the one beside the .meta)",
    )
    add_reading(parser)


def _add_part(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--input",
        metavar="NAME[SHAPE]{TYPE}",
        default="",
        help="inputs, each with an optional new shape and type; 0:NODE cuts at a node's input port 0, auto at the "
        "first convolution; NAME->VALUE freezes an input (default: the graph's inputs)",
    )
    parser.add_argument(
        "--output",
        metavar="NODE",
        default="",
        help="output nodes, separated by commas; auto is the final decision, or the last logits (default: the graph's "
        "outputs)",
    )
    parser.add_argument(
        "--input_shape",
        metavar="[1,H,W,3]",
        help="shapes in the order of the inputs; ? is a dynamic side (default: the graph's shapes)",
    )
    parser.add_argument(
        "--mean_values", metavar="[R,G,B]", help="values to subtract; NAME[R,G,B] for several inputs (default: none)"
    )
    parser.add_argument(
        "--scale_values",
        metavar="[R,G,B]",
        help="values to divide by after that; NAME[R,G,B] for several inputs (default: none)",
    )
    parser.add_argument(
        "--scale", metavar="NUMBER", help="value to divide all channels by, instead of --scale_values (default: 1)"
    )
    parser.add_argument(
        "--reverse_input_channels",
        action="store_true",
        help="swap RGB and BGR before mean and scale (default: don't)",
    )
    parser.add_argument(
        "--layout",
        metavar="NHWC->NCHW",
        help="layout of the graph and new layout of the IR; NAME(NHWC->NCHW) for several inputs (default: unchanged)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write DIR/NAME.xml and .bin."""
    from danmatte_workbench.graph import export, opening
    from danmatte_workbench.runtimes import openvino

    path = _find_path(arguments)
    wanted = _read_flags(arguments)
    target = _find_target(arguments, path)
    compressed = _read_compression(arguments)
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        plain = opening.prepare(path, wanted.reading, Path(folder))
        try:
            model, part = _convert_part(plain, wanted)
            model = export.preprocess(model, path, wanted.preprocessing)
        except InputError as error:
            raise InputError(str(error).replace(str(plain), str(path))) from error
        artifact = openvino.save(model, target, compressed=compressed)
    print(f"{artifact.path}: {part}")
    for word, ports in (("input", artifact.inputs), ("output", artifact.outputs)):
        for port in ports:
            print(f"  {word} {port.name} {list(port.shape)} {port.dtype}")
    return 0


@dataclass(frozen=True)
class _Wanted:
    """The parsed flags, which are validated before the graph is read."""

    reading: "ReadOptions"
    inputs: "tuple[InputRequest, ...]"
    outputs: tuple[str, ...]
    preprocessing: Any


def _find_path(arguments: argparse.Namespace) -> Path:
    from danmatte_workbench.artifact import detect_format, resolve_graph_path

    given = {
        "PATH": arguments.model,
        "--input_model": arguments.input_model,
        "--saved_model_dir": arguments.saved_model_dir,
        "--input_meta_graph": arguments.input_meta_graph,
    }
    named = {flag: path for flag, path in given.items() if path is not None}
    if len(named) != 1:
        received = " and ".join(named) or "nothing"
        raise InputError(f"expected one graph, as PATH or by one of {', '.join(list(given)[1:])}, received {received}")
    ((flag, path),) = named.items()
    path = resolve_graph_path(path)
    kind = detect_format(path)
    if flag == "--saved_model_dir" and kind != "savedmodel":
        raise InputError(f"--saved_model_dir: expected a SavedModel's folder, received {path}")
    if flag == "--input_meta_graph" and path.suffix.lower() != ".meta":
        raise InputError(f"--input_meta_graph: expected a .meta file, received {path}")
    return path


def _read_flags(arguments: argparse.Namespace) -> _Wanted:
    from dataclasses import replace

    from danmatte_workbench.graph.export import InputRequest, Preprocessing

    given = flags.parse_inputs(arguments.input)
    reading = read_options(arguments, tuple(f"{item.name}={item.value}" for item in given if item.value))
    inputs = [InputRequest(item.name, item.shape, item.kind) for item in given if not item.value]
    shapes = flags.parse_shapes(arguments.input_shape) if arguments.input_shape is not None else ()
    if len(shapes) > max(1, len(inputs)):
        raise InputError(f"--input_shape: {len(shapes)} shapes need {len(shapes)} names in --input, in the same order")
    inputs = inputs or [InputRequest()] * len(shapes)
    for number, shape in enumerate(shapes):
        inputs[number] = replace(inputs[number], shape=shape)
    if inputs and not inputs[0].name and len(shapes) == 1:
        sides = shapes[0].strip("[]").split(",")
        fixed = tuple(int(side) for side in sides if side.isdigit())
        reading = replace(reading, shape=fixed if len(fixed) == len(sides) else ())
    mean, scale = (
        flags.parse_numbers(text, flag) if text else {}
        for text, flag in ((arguments.mean_values, "--mean_values"), (arguments.scale_values, "--scale_values"))
    )
    if arguments.scale:
        if scale:
            raise InputError("--scale and --scale_values exclude each other; omit one")
        scale = flags.parse_numbers(arguments.scale, "--scale")
    layouts = flags.parse_layouts(arguments.layout) if arguments.layout else {}
    return _Wanted(
        replace(reading, checkpoint=arguments.input_checkpoint),
        tuple(inputs),
        tuple(flags.split_outside_brackets(arguments.output)),
        Preprocessing(mean, scale, arguments.reverse_input_channels, layouts),
    )


def _read_compression(arguments: argparse.Namespace) -> bool:
    try:
        compressed = flags.parse_switch(arguments.compress_to_fp16)
    except InputError as error:
        raise InputError(f"--compress_to_fp16: {error}") from error
    if arguments.data_type is None:
        return compressed
    if arguments.data_type.lower() not in _HALVES:
        raise InputError(f"--data_type: expected half, FP16, float or FP32, received {arguments.data_type}")
    return compressed or _HALVES[arguments.data_type.lower()]


def _find_target(arguments: argparse.Namespace, path: Path) -> Path:
    from danmatte_workbench.artifact import list_graph_files

    name = path.stem if arguments.model_name is None else arguments.model_name
    if not name or name in (".", "..") or Path(name).name != name or "\\" in name or not name.isprintable():
        raise InputError(f"--model_name: expected a file name without folders, received {name!r}")
    target: Path = arguments.output_dir / f"{name}.xml"
    for written in (target, target.with_suffix(".bin")):
        if written.exists() and any(written.samefile(file) for file in list_graph_files(path) if file.exists()):
            what = "the graph itself" if written.samefile(path) else "a file of the graph"
            raise InputError(f"{written}: is {what}; give another --output_dir or --model_name")
    return target


def _convert_part(path: Path, wanted: _Wanted) -> tuple[Any, str]:
    """Return the OpenVINO model of the part that the flags select, and a description of the part.

    The model is annotated as Any, because commands don't import heavy libraries.
    """
    from dataclasses import replace

    from danmatte_workbench.graph import conversion, export, probing

    inputs, outputs = wanted.inputs, wanted.outputs
    names = [request.name for request in inputs]
    if AUTO not in (*names, *outputs):
        model = export.export(path, inputs, outputs)
        if not outputs and not any(export.is_port(name) for name in names):
            return model, "whole"
        return model, f"{' and '.join(filter(None, names)) or 'its inputs'} … {' and '.join(outputs) or 'its outputs'}"
    found = probing.find_cut(path)
    if outputs == (AUTO,) or (not outputs and len(found.answers) == 1):
        outputs = (found.node,) if outputs and found.node else found.answers
    inputs = tuple(replace(item, name=found.port) if item.name == AUTO else item for item in inputs)
    asked = inputs[0] if inputs else export.InputRequest()
    first = replace(asked, shape=asked.shape or str([1, *found.size, 3]))
    part = f"{first.name or 'its inputs'} … {' and '.join(outputs) or 'its outputs'}"
    sides = [side.strip() for side in first.shape.strip("[]").split(",")]
    if len(outputs) == 1 and len(inputs) == 1 and all(side.isdigit() for side in sides):  # no side is dynamic
        model = conversion.cut(path, inputs=first.name, output=outputs[0], shape=tuple(map(int, sides)))
        export.name_outputs(model, outputs)
        return model, part
    return export.export(path, (first, *inputs[1:]), outputs), part
