"""`grpc.reflection.v1.ServerReflection`: descriptors of the services, for tools without `.proto` files like grpcurl.

The servicer of grpcio-reflection supports only v1alpha, lets any number of streams idle for ever, and doesn't record
calls. This one is limited and recorded like the other services.
"""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Final

from danmatte.api.grpc.call_context import CallContext
from danmatte.api.grpc.limits import CapacityLimiter, EndableReader
from danmatte.api.grpc.messages import message, pool
from danmatte.api.grpc.service import Service, ServiceParts

_STREAMS: Final = 16
_IDLE_S: Final = 30.0  # tools send their requests immediately
_NOT_FOUND, _INVALID_ARGUMENT = 5, 3  # google.rpc.Code


class ReflectionService(Service):
    """The reflection service; it describes the descriptors that the services themselves are built from."""

    name = "grpc.reflection.v1.ServerReflection"

    def __init__(self, parts: ServiceParts) -> None:
        super().__init__(parts)
        self._streams = CapacityLimiter(_STREAMS, "reflection streams")
        self._respond = message(f"{self.name.rpartition('.')[0]}.ServerReflectionResponse")

    @property
    def lasting_calls(self) -> int:
        """See the base class; these are streams that wait for their next request."""
        return _STREAMS

    async def server_reflection_info(self, requests: AsyncIterable[Any], call: CallContext) -> AsyncIterator[Any]:
        """Yield a response to each request; an unknown name is reported in its response."""
        reader = EndableReader(requests, _IDLE_S)
        with self._streams.take():
            async for request in reader.read():
                kind = request.WhichOneof("message_request")
                try:
                    yield self._respond(original_request=request, **self._answer(kind, request))
                except KeyError:
                    name = str(getattr(request, kind)).strip()
                    yield self._refuse(request, _NOT_FOUND, f"{kind}: unknown {name}")

    def _answer(self, kind: str | None, request: Any) -> dict[str, Any]:
        """Return the response's fields for a request; raises KeyError for an unknown name."""
        known = pool()
        if kind == "list_services":
            return {"list_services_response": {"service": [{"name": name} for name in sorted(Service.registered)]}}
        if kind == "file_by_filename":
            return _describe_files(known.FindFileByName(request.file_by_filename))
        if kind == "file_containing_symbol":
            return _describe_files(_find_file(request.file_containing_symbol))
        if kind == "all_extension_numbers_of_type":  # proto3 has no extensions
            name = known.FindMessageTypeByName(request.all_extension_numbers_of_type).full_name
            return {"all_extension_numbers_response": {"base_type_name": name}}
        if kind == "file_containing_extension":
            raise KeyError(request.file_containing_extension.containing_type)
        return {
            "error_response": {"error_code": _INVALID_ARGUMENT, "error_message": "expected a request, received none"}
        }

    def _refuse(self, request: Any, code: int, why: str) -> Any:
        return self._respond(original_request=request, error_response={"error_code": code, "error_message": why})


def _find_file(symbol: str) -> Any:
    """Return the file of a service, message or enumeration, or of a method, field or value; raises KeyError."""
    try:
        return pool().FindFileContainingSymbol(symbol)
    except KeyError:
        owner, _, member = symbol.rpartition(".")
        service = pool().FindServiceByName(owner)
        return service.methods_by_name[member].containing_service.file


def _describe_files(file: Any) -> dict[str, Any]:
    """Return the file and all its imports, direct or indirect; the file itself comes first."""
    files, left = {}, [file]
    while left:
        each = left.pop()
        if each.name not in files:
            files[each.name] = each.serialized_pb
            left += each.dependencies
    return {"file_descriptor_response": {"file_descriptor_proto": list(files.values())}}
