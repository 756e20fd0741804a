"""Strict parsers for values of the flags of OpenVINO's converters: shapes, types, means, layouts."""

import re
from dataclasses import dataclass

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError

_SIDE = r"(?:-1|\?|\d+(?:\.\.\d*)?|\.\.\d+)"
_SHAPE = re.compile(rf"[\[(]?\s*({_SIDE}(?:[\s,]+{_SIDE})*)?\s*[\])]?")
_INPUT = re.compile(
    r"(?P<name>[^\[\]{}()]*?)(?P<shape>\[[^\]]*\]|\([^)]*\))?(?:\{(?P<kind>\w+)\})?(?:->(?P<value>.+))?"
)
_NUMBERS = re.compile(r"(?P<name>[^\[\]()]*?)[\[(](?P<numbers>[^\])]*)[\])]")
_LAYOUT = re.compile(r"(?P<name>[^()\[\]]*?)[(\[]+(?P<layout>[^)\]]*)[)\]]+")
TYPES = {
    **{name: name for name in ("f32", "f16", "bf16", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")},
    "float": "f32",
    "fp32": "f32",
    "half": "f16",
    "fp16": "f16",
    "double": "f64",
    "int32": "i32",
    "int64": "i64",
    "uint8": "u8",
    "int8": "i8",
    "bool": "boolean",
    "boolean": "boolean",
}


@dataclass(frozen=True)
class InputFlag:
    """One input of ``--input``: its name, and optionally its shape, its type, and the value to which it is frozen."""

    name: str
    shape: str = ""
    kind: str = ""
    value: str = ""


def parse_inputs(text: str) -> tuple[InputFlag, ...]:
    """Parse ``name[shape]{type}`` or ``name->value``, separated by commas. Raises InputError for anything else."""
    flags = []
    for part in split_outside_brackets(text):
        found = _INPUT.fullmatch(part)
        if not found or not (found["name"] or found["shape"] or found["kind"]):
            raise InputError(f"--input: expected NAME[SHAPE]{{TYPE}}, received {part}")
        kind = (found["kind"] or "").lower()
        if kind and kind not in TYPES:
            raise InputError(f"--input: unknown type {kind}{did_you_mean(kind, TYPES)}")
        shape = parse_shape(found["shape"], "--input") if found["shape"] else ""
        flags.append(InputFlag(found["name"].strip(), shape, TYPES.get(kind, ""), (found["value"] or "").strip()))
    return tuple(flags)


def parse_shape(text: str, flag: str) -> str:
    """Parse a shape such as ``[1,H,W,3]`` and return it in OpenVINO's form.

    A side may be dynamic (``?`` or -1) or a range (``1..8``). Raises InputError for anything else.
    """
    found = _SHAPE.fullmatch(text.strip())
    sides = re.split(r"[\s,]+", found[1].strip()) if found and found[1] else []
    whole = text.strip()[:1] + text.strip()[-1:] in ("[]", "()") or not re.search(r"[\[\]()]", text)
    ends = [tuple(map(int, side.split(".."))) for side in sides if re.fullmatch(r"\d+\.\.\d+", side)]
    falling = any(low > high for low, high in ends)
    if not found or not whole or (not sides and text.strip() not in ("[]", "()")) or "0" in sides or falling:
        raise InputError(f"{flag}: expected a shape such as [1,224,224,3], received {text}")
    return f"[{','.join('?' if side == '-1' else side for side in sides)}]"


def parse_shapes(text: str) -> tuple[str, ...]:
    """Parse shapes in the order of the inputs: ``[1,3,224,224],[1,4]``, or one without brackets.

    Raises InputError for anything else.
    """
    if not re.search(r"[\[(].*[\])]", text):
        return (parse_shape(text, "--input_shape"),)
    return tuple(parse_shape(part, "--input_shape") for part in split_outside_brackets(text))


def parse_numbers(text: str, flag: str) -> dict[str, tuple[float, ...]]:
    """Parse ``[a,b,c]``, or ``name[a,b,c]`` for several inputs. Raises InputError for anything else.

    Returns the numbers by name of input, with an empty name for the first form.
    """
    if not re.search(r"[\[(]", text):
        text = f"[{text}]"
    found = {}
    for part in split_outside_brackets(text):
        match = _NUMBERS.fullmatch(part)
        try:
            numbers = tuple(float(number) for number in re.split(r"[\s,]+", match["numbers"].strip())) if match else ()
        except ValueError:
            numbers = ()
        finite = all(abs(number) < float("inf") for number in numbers)  # NaN isn't finite either
        if match is None or not numbers or not finite or (flag != "--mean_values" and 0 in numbers):
            raise InputError(f"{flag}: expected numbers such as [127.5,127.5,127.5], received {text}")
        found[match["name"].strip()] = numbers
    return found


def parse_layouts(text: str) -> dict[str, tuple[str, str]]:
    """Parse ``nhwc``, ``nhwc->nchw``, or ``name(nhwc->nchw)`` for several inputs. Raises InputError for anything else.

    Returns the graph's layout and the new one by name of input; the latter is empty if it isn't given.
    """
    found = {}
    for part in split_outside_brackets(text):
        match = _LAYOUT.fullmatch(part)
        name, layout = (match["name"].strip(), match["layout"]) if match else ("", part)
        own, _, wanted = (side.strip().upper().replace(",", "") for side in layout.partition("->"))
        for side in (own, wanted):
            if side and not re.fullmatch(r"[A-Z?]{1,8}|[A-Z?]*\.\.\.[A-Z?]*", side):
                raise InputError(f"--layout: expected such as nhwc or name(nhwc->nchw), received {text}")
        if not own or (wanted and sorted(own) != sorted(wanted)) or len(set(own) - {"?", "."}) != len(own.strip("?.")):
            raise InputError(f"--layout: expected such as nhwc or name(nhwc->nchw), received {text}")
        found[name] = (own, wanted)
    return found


def parse_switch(text: str) -> bool:
    """Parse a boolean: true or false, 1 or 0, yes or no, in any case. Raises InputError for anything else."""
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise InputError(f"expected True or False, received {text}")
    return words[text.lower()]


def split_outside_brackets(text: str) -> list[str]:
    """Split at the commas outside of brackets; empty parts are omitted."""
    parts = re.split(r",(?![^\[]*\])(?![^(]*\))(?![^{]*\})", text)
    return [part.strip() for part in parts if part.strip()]
