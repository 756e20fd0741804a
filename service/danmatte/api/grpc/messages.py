"""The messages and services of the `.proto` files, in a pool of their own: clients in the same process bring theirs."""

from collections.abc import Callable, Set
from functools import cache
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from danmatte.errors import BodyError

_DESCRIPTORS: Final = Path(__file__).with_name("inference.binpb")


@cache
def message(name: str) -> Any:
    """The message's class, by its full name."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


def inference(name: str) -> Any:
    """The class of a message of the inference protocol."""
    return message(f"inference.{name}")


class Garbled:
    """Bytes that aren't the message; who looks into it gets a BodyError, where an error of the library's is lost."""

    def __init__(self, expected: str) -> None:
        self.why = f"message: expected bytes of {expected}"

    def __getattr__(self, name: str) -> Any:
        raise BodyError(self.why)


def reader(name: str) -> Callable[[bytes], Any]:
    """Reads messages of this name, or has them be `Garbled`."""

    def read(data: bytes) -> Any:
        try:
            return message(name).FromString(data)
        except DecodeError:
            return Garbled(name)

    return read


def handlers(service: str, answers: object, prompt: Set[str]) -> grpc.GenericRpcHandler:
    """The service's methods, each answered by the one of `answers` that has its name in snake case.

    Those whose paths are in `prompt` get a stream to read their one request from.
    """
    described = _pool().FindServiceByName(service)
    table = {
        method.name: _handler(
            method, getattr(answers, _snake(method.name)), reads=f"/{service}/{method.name}" in prompt
        )
        for method in described.methods
    }
    return grpc.method_handlers_generic_handler(service, table)


def _handler(method: Any, answer: Any, *, reads: bool) -> grpc.RpcMethodHandler:
    kinds = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    return kinds[method.client_streaming or reads, method.server_streaming](
        answer,
        request_deserializer=reader(method.input_type.full_name),
        response_serializer=message(method.output_type.full_name).SerializeToString,
    )


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


@cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(_DESCRIPTORS.read_bytes()).file:
        pool.Add(file)
    return pool
