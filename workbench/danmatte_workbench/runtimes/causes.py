"""Explanations of libraries' error messages, in one plain sentence each.

Libraries raise long messages with source locations, a summary, links, and somewhere the cause. The table contains
causes that users have met. For other messages, the most informative line is used, without source locations.
"""

import re
from dataclasses import dataclass

HOW_TO_FREEZE = (
    "give the SavedModel or the .meta file that it comes from (--input_meta_graph), or also its checkpoint "
    "(--input_checkpoint)"
)


@dataclass(frozen=True)
class Cause:
    """A regular expression that finds a cause in a library's message, and an explanation that may use its groups."""

    pattern: str
    meaning: str


CAUSES = (
    Cause(
        r"Variable or resource [`'](?P<name>[^`']+)[`'] is not initialized"
        r"|Attempting to use uninitialized value (?P<value>\S+)",
        "it isn't frozen: the file has no value for the variable {name}{value}; " + HOW_TO_FREEZE,
    ),
    Cause(
        r"No conversion rule found for operations?: (?:[^\n]*, )?(?P<name>Decode\w+)",
        "it takes encoded pictures ({name}), but OpenVINO takes pixels; cut it after the decoder: --input 0:NODE, or "
        "--input auto",
    ),
    Cause(
        r"No conversion rule found for operations?: (?P<name>[^\n]+)",
        "OpenVINO doesn't support {name}; cut the graph before or after it",
    ),
    Cause(
        r"No translator found for (?P<name>\w+) node",
        "OpenVINO doesn't support {name}; cut the graph before or after it in the framework that made it",
    ),
    Cause(
        r"OpenVINO does not support the following ONNX operations: (?P<name>[^\n]+)",
        "OpenVINO doesn't support {name}; cut the graph before or after it",
    ),
    Cause(
        r"[Ii]nvalid usage of method for externally stored data in file \((?P<name>[^,)]+)",
        "its weights are in the file {name}, which isn't next to it",
    ),
    Cause(
        r"No model config found",
        "it contains weights without their graph; save the whole model (model.save), or export it as a SavedModel",
    ),
    Cause(
        r"Requested the deserialization of a `?Lambda`? layer|[Ll]ambda.{0,80}safe_mode=False",
        "it has a Lambda layer, whose Python code would run here; if you trust the file's origin, use --trust-lambda",
    ),
    Cause(
        r"Could not locate class '(?P<name>\w+)'|Unknown layer: '?(?P<value>\w+)",
        "it has a custom layer, {name}{value}, whose code isn't in the file; export it as a SavedModel where the code "
        "is available",
    ),
    Cause(
        r"Input to reshape is a tensor with (?P<name>\d+) values, but the requested shape "
        r"(?:has|requires a multiple of) (?P<value>\d+)",
        "a reshape inside has a fixed size: it received {name} values and expects {value}; use another picture size",
    ),
    Cause(
        r"Argument shapes are inconsistent|[Dd]imension \d+ in both shapes must be equal"
        r"|Dimensions of inputs should match|ConcatOp : Dimension",
        "feature maps that are concatenated inside have different sizes; use another picture size",
    ),
    Cause(
        r"Check 'left_broadcastable[\s\S]+|Argument shapes are not broadcastable|Incompatible shapes: (?P<name>[^\n]+)",
        "feature maps that are added inside have different sizes; use another picture size",
    ),
    Cause(
        r"(?:Unable to read the model|Model file [^\n]* is not found|Unsupported model format"
        r"|Cannot recognize (?:input )?model"
        r"|Could not load SavedModel|GraphDef cannot be parsed|Error parsing message|Failed to parse"
        r"|does not contain any nodes|Incorrect weights in bin|parse_xml|Error reading network|pugi)",
        "the file is damaged or has another format",
    ),
    Cause(
        r"Model provided has model identifier|Model buffer|The model is not a valid Flatbuffer|Could not open .*tflite",
        "the file is damaged or has another format",
    ),
    Cause(
        r"Unable to (?:synchronously )?open (?:file|object)|truncated file|not a zip file|Bad magic number|bad central"
        r"|ensure the file is an accessible `\.keras` zip",
        "the file is damaged or has another format",
    ),
    Cause(
        r"Select TensorFlow op\(s\), included in the given model, is\(are\) not supported",
        "it uses operations of TensorFlow (Flex) that TFLite alone doesn't have",
    ),
    Cause(r"Encountered unresolved custom op: (?P<name>\w+)", "it has a custom operation, {name}"),
    Cause(
        r"No OpKernel was registered to support Op '(?P<name>\w+)'|Op type not registered '(?P<value>\w+)'",
        "this TensorFlow doesn't support {name}{value}",
    ),
)
_PLACES = re.compile(
    r"^(?:Check '|FrontEnd API failed|Exception from src|in user code:|File \"|Arguments received|Traceback|\^+$"
    r"|Detected at node|Summary:|Graph execution error|While validating node|Stack trace|Errors? may have originated"
    r"|Input Source operations|\[\[\{\{node|<stack|.*\.(?:cpp|cc|py):\d+:?$|\* |  inputs=|To facilitate|Model wasn't"
    r"|-- Conversion is failed for|\(\d+\) )"
)
_DETAIL = re.compile(r"^-- (?P<kind>[\w:]+) with a message:\n(?P<message>[^\n]+)", re.MULTILINE)
_NODE = re.compile(r"^(?P<message>[^\n]+)\n\s*\[\[\{\{node (?P<name>[^}]+)\}\}\]\]", re.MULTILINE)


def explain(error: BaseException) -> str:
    """Return the cause of a library's exception, in one line without a full stop at its end."""
    text = str(error).strip()
    for cause in CAUSES:
        if found := re.search(cause.pattern, text):
            groups = {"name": "", "value": "", **{key: value or "" for key, value in found.groupdict().items()}}
            return cause.meaning.format_map(groups)
    if detail := _DETAIL.search(text):
        if not _PLACES.match(detail["message"].strip()):
            return f"{detail['kind']}: {detail['message'].strip()}"
        return f"{detail['kind']}: {_pick_line(text[detail.end() :]) or 'failed'}"
    if node := _NODE.search(text):
        return f"{node['message'].strip()} (at {node['name']})"
    return _pick_line(text) or type(error).__name__


def _pick_line(text: str) -> str:
    """Return the line that says what is wrong: the first one with an exception's name, or else the last.

    Source locations and stack frames are skipped.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    spoken = [line for line in lines if not _PLACES.match(line)]
    named = [line for line in spoken if re.match(r"\w*(?:Error|Exception): ", line)]
    chosen = named or spoken or lines
    return chosen[0 if named else -1].rstrip(".") if chosen else ""
