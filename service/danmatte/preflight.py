"""What can be known before serving, and asked while it lasts: the settings, the models, a server's health."""

import json
import os
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from danmatte.contract import artifact
from danmatte.errors import ModelError
from danmatte.http.auth import ApiKeys
from danmatte.http.listener import load_tls
from danmatte.settings import ResolvedSettings, Settings, describe_settings
from danmatte.telemetry.tracing import Traces

if TYPE_CHECKING:
    from danmatte.engine import FakeEngine
    from danmatte.models import ModelListing, VersionListing

_PATIENCE_S = 5.0


def check_settings(resolved: ResolvedSettings) -> Iterator[str]:
    """The settings and whence they come, then the models; raises SettingsError on what would stop the server.

    Reads every file that serving would, compiles nothing, and leaves nothing behind.
    """
    settings = resolved.settings
    for name in describe_settings():
        value = json.dumps(_hide_password(name, getattr(settings, name)), ensure_ascii=False)
        yield f"{name} = {value}  # {resolved.origins.get(name, 'default')}"
    if settings.keys:
        ApiKeys.read(Path(settings.keys))
    load_tls(settings)
    check_extras(settings)
    if settings.cache:
        _check_cache(Path(settings.cache), settings.cache_bytes)
    yield from _describe_models(settings)


def is_ready(settings: Settings, url: str = "") -> bool:
    """Whether a server takes posts: the one at the URL, or the one on this machine with these settings."""
    url = url or f"{'https' if settings.tls_certificate else 'http'}://{_find_reachable(settings.host)}:{settings.port}"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is asked one public question
    try:
        with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=_PATIENCE_S, context=context) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def check_extras(settings: Settings) -> None:
    """Raises MissingExtraError for a setting whose libraries aren't installed."""
    if settings.otlp_endpoint:
        Traces(settings.otlp_endpoint).close()
    if settings.grpc_port:
        from danmatte.api.grpc import import_server

        import_server()


def _check_cache(folder: Path, limit_bytes: int) -> None:
    """Folders made for it go again: they would be this user's, and the server may run as another."""
    from danmatte.engine import GraphCache

    missing = [place for place in (folder, *folder.parents) if not os.path.exists(place)]  # noqa: PTH110 - never raises
    try:
        GraphCache(folder, limit_bytes)
    finally:
        for made in missing:
            with suppress(OSError):
                made.rmdir()


def _describe_models(settings: Settings) -> Iterator[str]:
    """What the repository itself makes of the folder, with engines that compile nothing: OpenVINO comes in here."""
    from danmatte.models import Repository

    repository = Repository(settings.models_folder, _open_uncompiled, default=settings.model)
    try:
        repository.load()
    finally:  # the versions come first, then what is wrong with them
        for model in repository.list_models():
            yield from _describe_model(settings.models_folder, model)


def _open_uncompiled(found: artifact.Artifact) -> "FakeEngine":
    from danmatte.engine import FakeEngine

    engine = FakeEngine(found.manifest)
    engine.precision = found.manifest.configuration.precision
    return engine


def _describe_model(root: Path, model: "ModelListing") -> Iterator[str]:
    """A line for every version, also for those that are opened on demand only, and for what becomes of the policy."""
    for version in model.versions:
        yield f"# {model.name}/{version.version}: {_describe_version(root, model.name, version)}"
    if model.unloaded:
        yield f"# {model.name}: unloaded"
    if model.trouble:
        yield f"# {model.name}: {model.trouble}"


def _describe_version(root: Path, name: str, version: "VersionListing") -> str:
    if version.state == "available":
        try:
            artifact.read_version(root, name, version.version)
        except ModelError as error:
            return str(error)
    return version.reason or "good"


def _hide_password(name: str, value: object) -> object:
    """The value without secrets: a URL may hold a password."""
    if name != "otlp_endpoint" or "@" not in str(value):
        return value
    parts = urlsplit(str(value))
    return urlunsplit(parts._replace(netloc="…@" + parts.netloc.rpartition("@")[2]))


def _find_reachable(host: str) -> str:
    """Where a server that listens on `host` is reached from here."""
    nearest = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{nearest}]" if ":" in nearest else nearest
