"""`/v2/repository` and `/v1/admin`: which versions answer, changed while they do. On a port of its own."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from msgspec import Meta, Struct

from danmatte.api.catalogue import Catalogue
from danmatte.api.loading import load_model, unload_model
from danmatte.errors import (
    BodyError,
    BodyTooLargeError,
    ForbiddenError,
    PolicyError,
    SettingsError,
    UnknownModelError,
)
from danmatte.http.errors import add_request_id, catch_errors
from danmatte.http.runner import Runner
from danmatte.models import Canary, Policy, Repository
from danmatte.settings import Settings

NAME = "{name:[a-z0-9][a-z0-9_-]{0,63}}"
BODY_LIMIT_BYTES = 64 * 2**10
_CLOSING_S = 1.0
_HERE = ("127.0.0.1", "localhost", "[::1]")


class _PinBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The version that nothing newer replaces; none to take the newest again."""

    version: Annotated[int, Meta(ge=1, le=2**53)] | None


class _LoadBody(Struct, frozen=True):
    """Triton's load; a configuration or files in it would be ignored, and are refused instead."""

    parameters: dict[str, object] = {}


class _IndexBody(Struct, frozen=True):
    """Triton's question for an index."""

    ready: bool = False


class AdminRoutes:
    """The routes of whoever runs the server; the answers to changes are the model's entry in the listing."""

    def __init__(self, repository: Repository, catalogue: Catalogue, changed: Callable[[], None]) -> None:
        """`changed` is called after each request that may have changed something."""
        self._repository, self._catalogue, self._changed = repository, catalogue, changed

    def routes(self) -> list[web.RouteDef]:
        """For `Application.add_routes`."""
        return [
            web.post("/v2/repository/index", self.list_index),
            web.post(f"/v2/repository/models/{NAME}/load", self.load),
            web.post(f"/v2/repository/models/{NAME}/unload", self.unload),
            web.post("/v1/admin/reload", self.reload),
            web.get(f"/v1/admin/models/{NAME}/policy", self.get_policy),
            web.put(f"/v1/admin/models/{NAME}/policy", self.put_policy),
            web.post(f"/v1/admin/models/{NAME}/pin", self.pin),
            web.post(f"/v1/admin/models/{NAME}/canary", self.canary),
            web.post(f"/v1/admin/models/{NAME}/rollback", self.roll_back),
        ]

    def serve_beside(
        self, settings: Settings, middlewares: list[Middleware]
    ) -> Callable[[web.Application], AsyncIterator[None]]:
        """Serves them while another application runs; for its `cleanup_ctx`."""
        app = web.Application(
            middlewares=[catch_errors, refuse_web_pages, *middlewares, self._announce], client_max_size=BODY_LIMIT_BYTES
        )
        app.on_response_prepare.append(add_request_id)
        app.add_routes(self.routes())

        async def run(_: web.Application) -> AsyncIterator[None]:
            # A change goes on when who asked for it leaves.
            runner = Runner(app, access_log=None, shutdown_timeout=_CLOSING_S)
            await runner.setup()
            try:
                shared = settings.workers > 1  # what one of several workers writes to the disk, the others find there
                try:
                    await web.TCPSite(runner, _HERE[0], settings.admin_port, reuse_port=shared).start()
                except OSError as error:
                    where = f"{_HERE[0]}:{settings.admin_port}"
                    raise SettingsError(f"admin_port: {where}: {error.strerror}") from error
                yield
            finally:
                await runner.cleanup()

        return run

    async def list_index(self, request: web.Request) -> web.Response:
        """Every version of every model; with `ready` only those that answer."""
        wanted = await _read_body(request, _IndexBody, _IndexBody())
        return web.json_response(self._catalogue.list_index(ready=wanted.ready))

    async def load(self, request: web.Request) -> web.Response:
        """Serves a model again, or looks at its folder again, also at what failed before."""
        name = request.match_info["name"]
        wanted = await _read_body(request, _LoadBody, _LoadBody())
        await load_model(self._repository, name, wanted.parameters)
        return self._describe(name)

    async def unload(self, request: web.Request) -> web.Response:
        """Has a model answer nobody, also after a restart."""
        name = request.match_info["name"]
        await unload_model(self._repository, name)
        return self._describe(name)

    async def reload(self, request: web.Request) -> web.Response:
        """Looks at the whole folder again."""
        await self._repository.refresh()
        return web.json_response({"models": msgspec.to_builtins(self._repository.list_models())})

    async def get_policy(self, request: web.Request) -> web.Response:
        """What serving.toml says."""
        return web.json_response(msgspec.to_builtins(self._repository.get_policy(request.match_info["name"])))

    async def put_policy(self, request: web.Request) -> web.Response:
        """Another policy altogether, labels included."""
        wanted = await _read_body(request, Policy)
        await self._repository.change_policy(request.match_info["name"], lambda policy: wanted, whole=True)
        return self._describe(request.match_info["name"])

    async def pin(self, request: web.Request) -> web.Response:
        """`{"version": 3}`, or null."""
        wanted = await _read_body(request, _PinBody)
        return await self._change_policy(request, lambda policy: _replace(policy, pin=wanted.version))

    async def canary(self, request: web.Request) -> web.Response:
        """`{"version": 4, "share": 0.05}`, or null."""
        wanted = await _read_body(request, Canary | None)
        return await self._change_policy(request, lambda policy: _replace(policy, canary=wanted))

    async def roll_back(self, request: web.Request) -> web.Response:
        """Pins the newest version below the stable one that can be served, and ends the canary."""
        name = request.match_info["name"]
        await self._repository.roll_back(name)
        return self._describe(name)

    @web.middleware
    async def _announce(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if request.method not in ("GET", "HEAD"):
            self._changed()
        return response

    async def _change_policy(self, request: web.Request, change: Callable[[Policy], Policy]) -> web.Response:
        name = request.match_info["name"]
        await self._repository.change_policy(name, change)
        return self._describe(name)

    def _describe(self, name: str) -> web.Response:
        model = next((model for model in self._repository.list_models() if model.name == name), None)
        if not model:
            raise UnknownModelError(f"model: {name} has gone meanwhile")
        return web.json_response(msgspec.to_builtins(model))


@web.middleware
async def refuse_web_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses what a web page may have sent: another name for this machine, or any page's origin."""
    host = request.headers.get("Host", "").rpartition(":")[0] or request.headers.get("Host", "")
    if "Origin" in request.headers or host not in _HERE:
        raise ForbiddenError(f"expected a request to one of {', '.join(_HERE)}, from no web page")
    return await handler(request)


def _replace(policy: Policy, **fields: Any) -> Policy:
    """The policy with other fields, checked as if it had been read; raises PolicyError."""
    try:
        return Policy(**(msgspec.structs.asdict(policy) | fields))
    except ValueError as error:
        raise PolicyError(str(error)) from error


async def _read_body(request: web.Request, kind: Any, default: Any = ...) -> Any:
    try:
        data = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise BodyTooLargeError(f"body: expected at most {request.client_max_size} bytes") from error
    if not data and default is not ...:
        return default
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise PolicyError(f"body: {error}") from error
    except msgspec.DecodeError as error:
        raise BodyError(f"body: expected JSON: {error}") from error
