"""The gRPC server: its port, its limits, its end."""

from collections.abc import Callable

import grpc

from danmatte.api.grpc import services
from danmatte.api.grpc.call_context import Calls
from danmatte.api.grpc.interceptors import AuthInterceptor
from danmatte.api.grpc.service import Service, ServiceParts
from danmatte.errors import SettingsError
from danmatte.http.api_keys import ApiKeys
from danmatte.http.certificate import Certificate
from danmatte.http.file_watch import read_stamp
from danmatte.http.forwarded import TrustedProxies
from danmatte.http.telemetry import Observers
from danmatte.inference.request import Requests
from danmatte.settings import Settings

__all__ = ["Server", "services"]
# What a message has beside its tensors.
_SPARE_BYTES = 2**16
# Calls that need no place: health, metadata.
_SPARE_CALLS = 64
_HERE = "127.0.0.1"
# For calls without a place; idle streams and watchers would stay for ever.
_GRACE_S = 1.0


class Server:
    """Serves every registered service in the running event loop; `port` is the one it took.

    With `changed`, which is called when models may have changed, it is the administrators' server: on a port of its
    own, for this machine alone.
    """

    def __init__(
        self,
        requests: Requests,
        settings: Settings,
        *,
        observers: Observers,
        keys: ApiKeys | None,
        changed: Callable[[], None] | None = None,
    ) -> None:
        self._settings, self._is_admin = settings, changed is not None
        calls = Calls(observers, TrustedProxies(settings.trusted_proxies), keyed=keys is not None)
        parts = ServiceParts(requests, calls, settings, changed)
        serving = [kind(parts) for kind in Service.registered.values()]
        heartbeat_ms = max(1, round(1000 * settings.live_heartbeat_s))
        options = [
            ("grpc.max_receive_message_length", settings.max_body_bytes + _SPARE_BYTES),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", int(settings.workers > 1)),  # workers share the port, strangers don't
            # Who vanishes without a word, as behind a router that forgets, would keep a watcher's place for two hours.
            ("grpc.keepalive_time_ms", heartbeat_ms),
            ("grpc.http2.ping_timeout_ms", heartbeat_ms),
            ("grpc.http2.max_pings_without_data", 0),  # no limit: a watcher may be told nothing for days
        ]
        if settings.connection_s:  # calls under way on an old connection are answered, streams go on to their end
            options.append(("grpc.max_connection_age_ms", max(1, round(1000 * settings.connection_s))))
        # A call's message is in memory before it asks for a place.
        most = requests.places + sum(service.lasting_calls for service in serving) + _SPARE_CALLS
        scope = "admin" if self._is_admin else "grpc"
        interceptors = [AuthInterceptor(calls, keys, scope)] if keys else []
        self._server = grpc.aio.server(interceptors=interceptors, options=options, maximum_concurrent_rpcs=most)
        self._server.add_generic_rpc_handlers(tuple(service.build_handlers() for service in serving))
        self.port = 0

    async def start(self) -> None:
        """Begins to answer; raises SettingsError when the port is taken."""
        settings = self._settings
        if self._is_admin:
            name, host, port = "admin_grpc_port", _HERE, settings.admin_grpc_port
        else:
            name, host, port = "grpc_port", settings.host, settings.grpc_port
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = self._bind(place)
        except RuntimeError as error:
            raise SettingsError(f"{name}: {place}: expected a free port: {error}") from error
        await self._server.start()

    async def stop(self) -> None:
        """Takes no new calls, and returns; whoever had a place was waited for before, by admission."""
        await self._server.stop(_GRACE_S)

    def _bind(self, place: str) -> int:
        if self._is_admin or not self._settings.tls_certificate:
            return int(self._server.add_insecure_port(place))
        credentials = _CertificateSource(
            Certificate(self._settings.tls_certificate, self._settings.tls_key)
        ).build_credentials()
        return int(self._server.add_secure_port(place, credentials))


class _CertificateSource:
    """Gives gRPC the certificate, and another one once the files are others; called for every new connection."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate, self._stamp = certificate, read_stamp(certificate.files)

    def build_credentials(self) -> grpc.ServerCredentials:
        """What a secure port is opened with."""
        return grpc.dynamic_ssl_server_credentials(self._configure(), self._fetch)

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """The certificate that took the place of the one before; None where none did."""
        stamp = read_stamp(self._certificate.files)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        return self._configure() if self._certificate.renew() else None

    def _configure(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([self._certificate.pair])
