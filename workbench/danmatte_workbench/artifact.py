"""A graph on disk: its format (detected from its path and first bytes), its files, and its ports."""

import hashlib
import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from danmatte_workbench.errors import InputError

Format: TypeAlias = Literal["frozen", "savedmodel", "keras", "tflite", "onnx", "ir"]
SAVED = "saved_model.pb"


@dataclass(frozen=True)
class Port:
    """A graph's input or output. Dynamic dimensions are −1."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Artifact:
    """An immutable graph: its main file, the sha256 over all its files, and its ports.

    ``path`` is the XML of an IR, whose weights are next to it, or a frozen TensorFlow graph.
    """

    path: Path
    digest: str
    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()


def digest(*paths: Path) -> str:
    """Return the sha256 over the bytes of all files, in the given order, in hexadecimal.

    Raises InputError for a file that can't be read.
    """
    total = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    total.update(block)
        except OSError as error:
            raise InputError(f"{path}: can't be read ({error.strerror})") from error
    return total.hexdigest()


_SUFFIXES: dict[str, Format] = {
    ".pb": "frozen",
    ".meta": "frozen",
    ".keras": "keras",
    ".h5": "keras",
    ".tflite": "tflite",
    ".onnx": "onnx",
    ".xml": "ir",
}
_NAMES: dict[Format, str] = {
    "frozen": "a frozen TensorFlow graph",
    "savedmodel": "a SavedModel",
    "keras": "a Keras model",
    "tflite": "a TFLite model",
    "onnx": "an ONNX model",
    "ir": "OpenVINO IR",
}
_KNOWN = (
    "a frozen TensorFlow graph (.pb), a SavedModel folder, Keras (.keras, .h5), TFLite (.tflite), "
    "ONNX (.onnx), OpenVINO IR (.xml) or a TensorFlow 1 .meta file with its checkpoint"
)

_PACKED = "is an archive; unpack it first"
_PYTORCH = "is a PyTorch model; export it to ONNX (torch.onnx.export) where the model's code is available"
_CORE_ML = "is a Core ML model; give the model that it was converted from"
_CAFFE = "is a Caffe model, which OpenVINO no longer reads; convert it to ONNX"
_TENSORRT = "is a TensorRT engine, built for one GPU; give the model that it was built from"
_HINTS: dict[str, str] = {
    **dict.fromkeys((".7z", ".bz2", ".gz", ".tar", ".tgz", ".xz", ".zip", ".zst"), _PACKED),
    **dict.fromkeys((".pt", ".pth"), _PYTORCH),
    **dict.fromkeys((".mlmodel", ".mlpackage"), _CORE_ML),
    **dict.fromkeys((".caffemodel", ".prototxt"), _CAFFE),
    **dict.fromkeys((".engine", ".plan", ".trt"), _TENSORRT),
    ".bin": "contains the weights of an IR; give the .xml file next to it",
    ".ckpt": "is a checkpoint; give the .meta file next to it, or the graph, with --input_checkpoint",
    ".pbtxt": "is a graph in text format; write it in binary format (tf.io.write_graph with as_text=False)",
    ".pdmodel": "is a Paddle model; convert it to ONNX (paddle2onnx)",
    ".safetensors": "contains weights without their graph; export the model to ONNX where its code is available",
}

# The first bytes of a file: the tags of a protobuf's top-level fields, or a signature at a fixed offset.
_FIELDS: dict[str, bytes] = {
    ".pb": b"\x0a\x12\x18\x22",
    ".meta": b"\x0a\x12",
    SAVED: b"\x08\x12",
    ".onnx": b"\x08\x12\x1a\x22\x28\x32\x3a\x42\x72",
}
# The tags of key and value in ONNX' StringStringEntryProto, then the length: one or two bytes, below 2¹⁴.
_LOCATION = re.compile(rb"\x0a\x08location\x12([\x80-\xff][\x00-\x7f]|[\x00-\x7f])", re.DOTALL)
_POINTER = b"version https://git-lfs"
_SIGNATURES: dict[str, tuple[int, bytes]] = {
    ".keras": (0, b"PK\x03\x04"),
    ".h5": (0, b"\x89HDF\r\n\x1a\n"),
    ".tflite": (4, b"TFL3"),
    ".xml": (0, b"<"),
}


def resolve_graph_path(path: Path) -> Path:
    """Return the graph that a user means by ``path``: for a ``saved_model.pb``, the folder that contains it."""
    return path.parent if path.name == SAVED and path.is_file() else path


def detect_format(path: Path) -> Format:
    """Return the format of the graph at ``path``.

    Raises InputError for a missing file and for an unknown format. For formats of other frameworks, the message says
    how to convert the model.
    """
    if path.exists() and (hint := _HINTS.get(path.suffix.lower())):
        raise InputError(f"{path}: {hint}")
    if path.is_dir():
        if (path / SAVED).is_file():
            _check(path / SAVED, SAVED, _NAMES["savedmodel"])
            return "savedmodel"
        raise InputError(f"{path}: isn't a SavedModel: the folder has no {SAVED}")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    found = _SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise InputError(f"{path}: isn't {_KNOWN}")
    if not path.stat().st_size:
        raise InputError(f"{path}: isn't {_KNOWN}: the file is empty")
    _check(path, path.suffix.lower(), _NAMES[found])
    return found


def _check(path: Path, kind: str, name: str) -> None:
    """Raise InputError unless the file begins with the bytes of its format, as a text file or picture wouldn't."""
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from error
    if start.startswith(_POINTER):
        raise InputError(f"{path}: is a Git LFS pointer, not the file itself: fetch the file with `git lfs pull`")
    if kind in _FIELDS:
        known = start[:1] in [bytes([field]) for field in _FIELDS[kind]]
    else:
        offset, signature = _SIGNATURES[kind]
        text = start.lstrip(b"\xef\xbb\xbf \r\n\t") if kind == ".xml" else start
        known = text[offset:].startswith(signature)
    if not known:
        raise InputError(f"{path}: isn't {name}: it begins with {start[:8]!r}")


def list_graph_files(path: Path) -> tuple[Path, ...]:
    """Return all files that make up the graph.

    These are a folder's files, an IR's weights, the external data of an ONNX graph, or the checkpoint of a ``.meta``
    file.
    """
    if path.is_dir():
        return tuple(sorted(file for file in path.rglob("*") if file.is_file()))
    if path.suffix.lower() == ".meta":
        values = path.parent.glob(f"{path.stem}.*")
        return (path, *sorted(file for file in values if file.suffix == ".index" or ".data-" in file.name))
    if path.suffix.lower() == ".xml":
        return (path, path.with_suffix(".bin"))
    if path.suffix.lower() == ".onnx":
        usual = (path.with_name(f"{path.name}{end}") for end in (".data", "_data"))
        beside = (*usual, *(path.parent / name for name in _read_locations(path)))
        return (path, *dict.fromkeys(file for file in beside if file.is_file()))
    return (path,)


def _read_locations(path: Path) -> list[str]:
    """Return the names in the ``external_data`` of an ONNX graph, which are the files that contain its tensors, sorted.

    The workbench doesn't depend on an ONNX parser otherwise, so the names are found by a search for protobuf's encoding
    of an entry: the key ``location``, the length of its value, and the value.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = set()
            for match in _LOCATION.finditer(content):
                length = match[1][0] & 0x7F | (match[1][1] << 7 if len(match[1]) > 1 else 0)
                found.add(content[match.end() : match.end() + length].decode("utf-8", "replace"))
    except (OSError, ValueError):  # missing or empty: the reader of the graph raises the error
        return []
    return sorted(name for name in found if not (Path(name).is_absolute() or ".." in Path(name).parts))
