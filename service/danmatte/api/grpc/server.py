"""The gRPC server: its port, limits, and shutdown."""

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
# Bytes of a message in addition to its tensors.
_SPARE_BYTES = 2**16
# Calls that need no place in the queue, such as health and metadata.
_SPARE_CALLS = 64
_LOOPBACK = "127.0.0.1"
# Time for calls without a place in the queue, because idle streams and watchers never end by themselves.
_GRACE_S = 1.0


class Server:
    """Serves every registered service in the running event loop; `port` is the bound port.

    With `changed`, which is called when models may have changed, it is the admin server, on a separate port of the
    loopback address.
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
            # Workers share the public port. Only one has the admin port, which other servers must not share.
            ("grpc.so_reuseport", int(settings.workers > 1 and not self._is_admin)),
            # Without pings, a client that disappears without closing its connection would hold a place for two hours.
            ("grpc.keepalive_time_ms", heartbeat_ms),
            ("grpc.http2.ping_timeout_ms", heartbeat_ms),
            ("grpc.http2.max_pings_without_data", 0),  # no limit, because a watcher may receive nothing for days
        ]
        if settings.connection_s:  # calls and streams on an old connection are still completed
            options.append(("grpc.max_connection_age_ms", max(1, round(1000 * settings.connection_s))))
        # Limited here as well, because a call's message is in memory before the call takes a place in the queue.
        max_calls = requests.places + sum(service.lasting_calls for service in serving) + _SPARE_CALLS
        scope = "admin" if self._is_admin else "grpc"
        interceptors = [AuthInterceptor(calls, keys, scope)] if keys else []
        self._server = grpc.aio.server(interceptors=interceptors, options=options, maximum_concurrent_rpcs=max_calls)
        self._server.add_generic_rpc_handlers(tuple(service.build_handlers() for service in serving))
        self.port = 0

    async def start(self) -> None:
        """Bind the port and start serving; raises SettingsError if the port is in use."""
        settings = self._settings
        if self._is_admin:
            name, host, port = "admin_grpc_port", _LOOPBACK, settings.admin_grpc_port
        else:
            name, host, port = "grpc_port", settings.host, settings.grpc_port
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self.port = self._bind(place)
        except RuntimeError as error:
            raise SettingsError(f"{name}: {place}: expected a free port: {error}") from error
        await self._server.start()

    async def stop(self) -> None:
        """Stop the server. Admission has already waited for the calls with a place in the queue."""
        await self._server.stop(_GRACE_S)

    def _bind(self, place: str) -> int:
        if self._is_admin or not self._settings.tls_certificate:
            return int(self._server.add_insecure_port(place))
        credentials = _CertificateSource(
            Certificate(self._settings.tls_certificate, self._settings.tls_key)
        ).build_credentials()
        return int(self._server.add_secure_port(place, credentials))


class _CertificateSource:
    """Provides gRPC with the certificate, and reloads it when its files change; checked for every new connection."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate, self._stamp = certificate, read_stamp(certificate.files)

    def build_credentials(self) -> grpc.ServerCredentials:
        """Return the credentials for a secure port."""
        return grpc.dynamic_ssl_server_credentials(self._configure(), self._fetch)

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new certificate if its files have changed and are valid, otherwise None."""
        stamp = read_stamp(self._certificate.files)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        return self._configure() if self._certificate.renew() else None

    def _configure(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([self._certificate.pair])
