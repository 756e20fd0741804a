"""The messages of the `.proto` files, built from stored descriptors.

There is no generated code, so they don't depend on a version of protobuf. They use a separate descriptor pool, because
a client library in the same process, such as Triton's, may register the same names in the default one.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from danmatte.errors import BodyError

FOLDER: Final = Path(__file__).with_name("services")
"""The folder of the `.proto` files and their compiled descriptors (`.binpb`)."""


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """Return the pool of all messages and services."""
    sets = [descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()) for path in sorted(FOLDER.glob("*.binpb"))]
    files = {file.name: file for each in sets for file in each.file}
    found = descriptor_pool.DescriptorPool()
    while files:  # a file has to be added after its imports
        found.Add(files.pop(next(name for name in files if files.keys().isdisjoint(files[name].dependency))))
    return found


@cache
def message(name: str) -> Any:
    """Return the class of a message by its full name."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))


def inference(name: str) -> Any:
    """Return the class of a message of the inference protocol."""
    return message(f"inference.{name}")


class MalformedMessage:
    """Stands in for a message that can't be parsed; reading any of its fields raises BodyError.

    The error is deferred because gRPC doesn't report exceptions of deserializers to the client.
    """

    def __init__(self, expected: str) -> None:
        self.reason = f"message: expected bytes of {expected}"

    def __getattr__(self, name: str) -> Any:
        raise BodyError(self.reason)


def build_reader(name: str) -> Callable[[bytes], Any]:
    """Return a deserializer for this message; it returns a MalformedMessage for bytes that can't be parsed."""

    def read(data: bytes) -> Any:
        try:
            return message(name).FromString(data)
        except DecodeError:
            return MalformedMessage(name)

    return read
