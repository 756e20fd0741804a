"""`/v2/repository` and `/v1/admin`: which versions answer, changed while they do. On a port of its own."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from msgspec import Meta, Struct

from danmatte.api.served_models import Models
from danmatte.errors import BodyError, BodyTooLargeError, ForbiddenError, PolicyError, SettingsError, UnknownModelError
from danmatte.http.errors import envelope, identify
from danmatte.models import Canary, Policy, Repository
from danmatte.settings import Settings

NAME = "{name:[a-z0-9][a-z0-9_-]{0,63}}"
BODY_LIMIT_BYTES = 64 * 2**10
_CLOSING_S = 1.0
_HERE = ("127.0.0.1", "localhost", "[::1]")


class Pin(Struct, frozen=True, forbid_unknown_fields=True):
    """The version that nothing newer replaces; none to take the newest again."""

    version: Annotated[int, Meta(ge=1, le=2**53)] | None


class Index(Struct, frozen=True):
    """Triton's question for an index."""

    ready: bool = False


class Admin:
    """The routes of whoever runs the server; the answers to changes are the model's entry in the listing."""

    def __init__(self, repository: Repository, models: Models) -> None:
        self._repository, self._models = repository, models

    def routes(self) -> list[web.RouteDef]:
        """For `Application.add_routes`."""
        return [
            web.post("/v2/repository/index", self.index),
            web.post(f"/v2/repository/models/{NAME}/load", self.load),
            web.post(f"/v2/repository/models/{NAME}/unload", self.unload),
            web.post("/v1/admin/reload", self.reload),
            web.get(f"/v1/admin/models/{NAME}/policy", self.policy),
            web.put(f"/v1/admin/models/{NAME}/policy", self.replace),
            web.post(f"/v1/admin/models/{NAME}/pin", self.pin),
            web.post(f"/v1/admin/models/{NAME}/canary", self.canary),
            web.post(f"/v1/admin/models/{NAME}/rollback", self.rollback),
        ]

    def beside(
        self, settings: Settings, doors: list[Middleware], runner_of: Callable[..., web.AppRunner]
    ) -> Callable[[web.Application], AsyncIterator[None]]:
        """Serves them while another application runs; for its `cleanup_ctx`."""
        app = web.Application(middlewares=[envelope, from_here, *doors], client_max_size=BODY_LIMIT_BYTES)
        app.on_response_prepare.append(identify)
        app.add_routes(self.routes())

        async def running(_: web.Application) -> AsyncIterator[None]:
            # A change goes on when who asked for it leaves.
            runner = runner_of(app, access_log=None, shutdown_timeout=_CLOSING_S)
            await runner.setup()
            try:
                await _listen(runner, settings)
                yield
            finally:
                await runner.cleanup()

        return running

    async def index(self, request: web.Request) -> web.Response:
        """Every version of every model; with `ready` only those that answer."""
        wanted = await _body(request, Index, Index())
        return web.json_response([row for row in self._models.index() if row["state"] == "READY" or not wanted.ready])

    async def load(self, request: web.Request) -> web.Response:
        """Serves a model again, or looks at its folder again, also at what failed before."""
        name = request.match_info["name"]
        await self._repository.reload(name)
        return await self._changed(request, lambda policy: msgspec.structs.replace(policy, enabled=True))

    async def unload(self, request: web.Request) -> web.Response:
        """Has a model answer nobody, also after a restart."""
        return await self._changed(request, lambda policy: msgspec.structs.replace(policy, enabled=False))

    async def reload(self, request: web.Request) -> web.Response:
        """Looks at the whole folder again."""
        await self._repository.refresh()
        return web.json_response({"models": msgspec.to_builtins(self._repository.list_models())})

    async def policy(self, request: web.Request) -> web.Response:
        """What serving.toml says."""
        return web.json_response(msgspec.to_builtins(self._repository.get_policy(request.match_info["name"])))

    async def replace(self, request: web.Request) -> web.Response:
        """Another policy altogether, labels included."""
        wanted = await _body(request, Policy)
        return await self._changed(request, lambda policy: wanted)

    async def pin(self, request: web.Request) -> web.Response:
        """`{"version": 3}`, or null."""
        wanted = await _body(request, Pin)
        return await self._changed(request, lambda policy: _changed(policy, pin=wanted.version))

    async def canary(self, request: web.Request) -> web.Response:
        """`{"version": 4, "share": 0.05}`, or null."""
        wanted = await _body(request, Canary | None)
        return await self._changed(request, lambda policy: _changed(policy, canary=wanted))

    async def rollback(self, request: web.Request) -> web.Response:
        """Pins the newest version below the stable one that can be served, and ends the canary."""
        name = request.match_info["name"]
        await self._repository.roll_back(name)
        return self._listed(name)

    async def _changed(self, request: web.Request, change: Callable[[Policy], Policy]) -> web.Response:
        name = request.match_info["name"]
        await self._repository.change_policy(name, change)
        return self._listed(name)

    def _listed(self, name: str) -> web.Response:
        listed = next((model for model in self._repository.list_models() if model.name == name), None)
        if not listed:
            raise UnknownModelError(f"model: {name} has gone meanwhile")
        return web.json_response(msgspec.to_builtins(listed))


@web.middleware
async def from_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuses what a web page may have sent: another name for this machine, or any page's origin."""
    host = request.headers.get("Host", "").rpartition(":")[0] or request.headers.get("Host", "")
    if "Origin" in request.headers or host not in _HERE:
        raise ForbiddenError(f"expected a request to one of {', '.join(_HERE)}, from no web page")
    return await handler(request)


def _changed(policy: Policy, **fields: Any) -> Policy:
    """The policy with other fields, checked as if it had been read; raises PolicyError."""
    try:
        return Policy(**(msgspec.structs.asdict(policy) | fields))
    except ValueError as error:
        raise PolicyError(str(error)) from error


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    """Several workers share the port; what one of them writes to the disk, the others find there."""
    try:
        await web.TCPSite(runner, "127.0.0.1", settings.admin_port, reuse_port=settings.workers > 1).start()
    except OSError as error:
        raise SettingsError(f"admin_port: 127.0.0.1:{settings.admin_port}: {error.strerror}") from error


async def _body(request: web.Request, kind: Any, default: Any = ...) -> Any:
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
