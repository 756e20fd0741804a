"""The messages of the `.proto` files, from stored descriptors: no generated code, no tie to a version of protobuf.

They are in a pool of their own, as a client in the same process (Triton's, say) registers the same names in the default
one.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from danmatte.errors import BodyError

FOLDER: Final = Path(__file__).with_name("services")
"""Where the `.proto` files are, and what their compiler makes of them, `.binpb`."""


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """All messages and services that there are."""
    sets = [descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()) for path in sorted(FOLDER.glob("*.binpb"))]
    files = {file.name: file for each in sets for file in each.file}
    found = descriptor_pool.DescriptorPool()
    while files:  # a file goes in after those that it imports
        found.Add(files.pop(next(name for name in files if files.keys().isdisjoint(files[name].dependency))))
    return found


@cache
def message(name: str) -> Any:
    """The message's class, by its full name."""
    return message_factory.GetMessageClass(pool().FindMessageTypeByName(name))


def inference(name: str) -> Any:
    """The class of a message of the inference protocol."""
    return message(f"inference.{name}")


class MalformedMessage:
    """Bytes that aren't the message; whoever looks into it gets a BodyError. The library would lose an error here."""

    def __init__(self, expected: str) -> None:
        self.reason = f"message: expected bytes of {expected}"

    def __getattr__(self, name: str) -> Any:
        raise BodyError(self.reason)


def build_reader(name: str) -> Callable[[bytes], Any]:
    """A function that reads messages of this name, or makes a MalformedMessage of them."""

    def read(data: bytes) -> Any:
        try:
            return message(name).FromString(data)
        except DecodeError:
            return MalformedMessage(name)

    return read
