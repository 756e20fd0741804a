"""The gRPC server: its port, its limits, its end."""

from pathlib import Path

import grpc

from danmatte.api.grpc.calls import Desk
from danmatte.api.grpc.health import SERVICES, WATCHERS, Health
from danmatte.api.grpc.interceptors import OPEN, Door, Lobby
from danmatte.api.grpc.messages import handlers
from danmatte.api.grpc.servicer import Calls
from danmatte.api.served_models import Models
from danmatte.errors import SettingsError
from danmatte.http.api_keys import Keys
from danmatte.http.telemetry import Observers
from danmatte.settings import Settings

# What a message has beside its tensors.
_SPARE_BYTES = 2**16
# Calls that need no place: health, metadata.
_SPARE_CALLS = 64
# For calls without a place; idle streams and watchers would stay for ever.
_GRACE_S = 1.0


class Server:
    """Serves in the running event loop; `port` is the one it took."""

    def __init__(self, models: Models, settings: Settings, *, observers: Observers, keys: Keys | None) -> None:
        self._settings = settings
        options = [
            ("grpc.max_receive_message_length", settings.max_body_bytes + _SPARE_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(settings.workers > 1)),  # workers share the port, strangers don't
        ]
        # Their messages are in memory before they ask for a place.
        most = models.places + settings.live_connections + WATCHERS + _SPARE_CALLS
        desk = Desk(observers, keyed=keys is not None)
        doors = [Door(desk, keys)] if keys else []
        self._server = grpc.aio.server(interceptors=doors, options=options, maximum_concurrent_rpcs=most)
        lobby = Lobby()
        calls = Calls(models, desk, lobby, streams=settings.live_connections, idle_s=settings.live_idle_s)
        self._server.add_generic_rpc_handlers(
            (handlers(SERVICES[1], calls, OPEN), handlers("grpc.health.v1.Health", Health(models, lobby), OPEN))
        )
        self.port = 0

    async def start(self) -> None:
        """Begins to answer; raises SettingsError when the port is taken."""
        host, port = self._settings.host, self._settings.grpc_port
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = self._bind(place)
        except RuntimeError as error:
            raise SettingsError(f"grpc_port: {place}: expected a free port: {error}") from error
        await self._server.start()

    async def stop(self) -> None:
        """Takes no new calls, and returns; whoever had a place was waited for before, by admission."""
        await self._server.stop(_GRACE_S)

    def _bind(self, place: str) -> int:
        if not self._settings.tls_certificate:
            return int(self._server.add_insecure_port(place))
        pair = (Path(self._settings.tls_key).read_bytes(), Path(self._settings.tls_certificate).read_bytes())
        return int(self._server.add_secure_port(place, grpc.ssl_server_credentials([pair])))
