"""The admin API, `/v2/repository` and `/v1/admin`: changes to which versions are served, on a separate port."""

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
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class _PinBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The version to pin; null to serve the newest one again."""

    version: Annotated[int, Meta(ge=1, le=2**53)] | None


class _LoadBody(Struct, frozen=True):
    """The body of Triton's load request. Its parameters (configuration, files) aren't supported, and are refused."""

    parameters: dict[str, object] = {}


class _IndexBody(Struct, frozen=True):
    """The body of Triton's repository index request."""

    ready: bool = False


class AdminRoutes:
    """The routes for administrators. Requests that change a model respond with its entry in the listing."""

    def __init__(self, repository: Repository, catalogue: Catalogue, changed: Callable[[], None]) -> None:
        """`changed` is called after each successful request that may have changed something."""
        self._repository, self._catalogue, self._changed = repository, catalogue, changed

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, for `Application.add_routes`."""
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
        """Return a context for another application's `cleanup_ctx` that serves the admin API while that runs."""
        app = web.Application(
            middlewares=[catch_errors, refuse_web_pages, *middlewares, self._announce], client_max_size=BODY_LIMIT_BYTES
        )
        app.on_response_prepare.append(add_request_id)
        app.add_routes(self.routes())

        async def run(_: web.Application) -> AsyncIterator[None]:
            # Without `handler_cancellation`, so that a change is completed if its client disconnects.
            runner = Runner(app, access_log=None, shutdown_timeout=_CLOSING_S)
            await runner.setup()
            try:
                try:
                    await web.TCPSite(runner, _LOOPBACK[0], settings.admin_port).start()
                except OSError as error:
                    where = f"{_LOOPBACK[0]}:{settings.admin_port}"
                    raise SettingsError(f"admin_port: {where}: {error.strerror}") from error
                yield
            finally:
                await runner.cleanup()

        return run

    async def list_index(self, request: web.Request) -> web.Response:
        """List every version of every model, or only the ready ones if the body has `ready`."""
        wanted = await _read_body(request, _IndexBody, _IndexBody())
        return web.json_response(self._catalogue.list_index(ready=wanted.ready))

    async def load(self, request: web.Request) -> web.Response:
        """Load a model, or reload its folder, including versions that failed before."""
        name = request.match_info["name"]
        wanted = await _read_body(request, _LoadBody, _LoadBody())
        await load_model(self._repository, name, wanted.parameters)
        return self._describe(name)

    async def unload(self, request: web.Request) -> web.Response:
        """Unload a model; it stays unloaded after a restart."""
        name = request.match_info["name"]
        await unload_model(self._repository, name)
        return self._describe(name)

    async def reload(self, request: web.Request) -> web.Response:
        """Reload the whole models folder."""
        await self._repository.refresh()
        return web.json_response({"models": msgspec.to_builtins(self._repository.list_models())})

    async def get_policy(self, request: web.Request) -> web.Response:
        """Return the policy in `serving.toml`."""
        return web.json_response(msgspec.to_builtins(self._repository.get_policy(request.match_info["name"])))

    async def put_policy(self, request: web.Request) -> web.Response:
        """Replace the whole policy, including labels."""
        wanted = await _read_body(request, Policy)
        await self._repository.change_policy(request.match_info["name"], lambda policy: wanted, whole=True)
        return self._describe(request.match_info["name"])

    async def pin(self, request: web.Request) -> web.Response:
        """Pin a version: `{"version": 3}`; `{"version": null}` removes the pin."""
        wanted = await _read_body(request, _PinBody)
        return await self._change_policy(request, lambda policy: _replace(policy, pin=wanted.version))

    async def canary(self, request: web.Request) -> web.Response:
        """Set the canary: `{"version": 4, "share": 0.05}`; `null` removes it."""
        wanted = await _read_body(request, Canary | None)
        return await self._change_policy(request, lambda policy: _replace(policy, canary=wanted))

    async def roll_back(self, request: web.Request) -> web.Response:
        """Pin the newest servable version older than the stable one, and remove the canary."""
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
            raise UnknownModelError(f"model: {name} was removed during the request")
        return web.json_response(msgspec.to_builtins(model))


@web.middleware
async def refuse_web_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a web page may have sent: requests with an Origin, or with another host name (DNS rebinding)."""
    host = request.headers.get("Host", "").rpartition(":")[0] or request.headers.get("Host", "")
    if "Origin" in request.headers or host not in _LOOPBACK:
        raise ForbiddenError(f"expected Host to be one of {', '.join(_LOOPBACK)}, and no Origin header")
    return await handler(request)


def _replace(policy: Policy, **fields: Any) -> Policy:
    """Return the policy with some fields replaced and validated; raises PolicyError."""
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
