"""Checks of settings and models before serving."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from danmatte.contract import artifact
from danmatte.errors import ModelError, PolicyError, SettingsError
from danmatte.http.api_keys import ApiKeys
from danmatte.http.forwarded import TrustedProxies
from danmatte.http.listener import read_certificate
from danmatte.http.origins import Origins
from danmatte.settings import ResolvedSettings, Settings, describe_settings
from danmatte.telemetry.tracing import Traces

if TYPE_CHECKING:
    from danmatte.models import VersionListing


def check_settings(resolved: ResolvedSettings) -> Iterator[str]:
    """Yield a line for every setting with its origin, then a line for every model version.

    Reads every file that serving would read, compiles no graph, and leaves no files behind. Raises SettingsError for
    anything that would keep the server from starting.
    """
    from danmatte.models.mounted import open_mounted

    settings = resolved.settings
    for name in describe_settings():
        value = getattr(settings, name)
        if name == "otlp_endpoint" and "@" in value:  # the URL may contain a password
            parts = urlsplit(value)
            value = urlunsplit(parts._replace(netloc="…@" + parts.netloc.rpartition("@")[2]))
        yield f"{name} = {json.dumps(value, ensure_ascii=False)}  # {resolved.origins.get(name, 'default')}"
    if settings.keys:
        ApiKeys.read(Path(settings.keys))
    Origins(settings.origins)
    TrustedProxies(settings.trusted_proxies)
    read_certificate(settings)
    check_extras(settings)
    if settings.cache:
        check_cache(Path(settings.cache), settings.cache_bytes)
    with open_mounted(settings) as mounted:
        yield from describe_models(mounted)


def check_extras(settings: Settings) -> None:
    """Raise MissingExtraError for a setting whose libraries aren't installed."""
    if settings.otlp_endpoint:
        Traces(settings.otlp_endpoint).close()
    if settings.grpc_port or settings.admin_grpc_port:
        from danmatte.api.grpc import import_server

        import_server()


def check_cache(folder: Path, limit_bytes: int) -> None:
    """Raise SettingsError if compiled graphs can't be cached in the folder.

    Folders created for the check are removed again, because the server may run as another user.
    """
    from danmatte.engine import GraphCache

    missing = [place for place in (folder, *folder.parents) if not os.path.exists(place)]  # noqa: PTH110 - never raises
    try:
        GraphCache(folder, limit_bytes)
    finally:
        for made in missing:
            with suppress(OSError):
                made.rmdir()


def describe_models(settings: Settings) -> Iterator[str]:
    """Yield a line for every version, including those that are opened only on demand; raises SettingsError.

    The folder is read by the same Repository that serves it, but with engines that don't compile.
    """
    from danmatte.engine import FakeEngine
    from danmatte.models import PolicyFolder, Repository
    from danmatte.models.policy import read_policy

    def open_uncompiled(found: artifact.Artifact) -> FakeEngine:
        engine = FakeEngine(found.manifest)
        engine.precision = found.manifest.configuration.precision
        return engine

    root = settings.models_folder
    policies = PolicyFolder(settings.policies_folder, remembers=False)
    repository = Repository(root, open_uncompiled, default=settings.model, policies=policies)
    try:
        repository.load()
    finally:  # list the versions even if loading failed, before the error is raised
        for model in repository.list_models():
            for version in model.versions:
                yield f"# {model.name}/{version.version}: {_judge(root, model.name, version)}"
            if model.unloaded:
                yield f"# {model.name}: unloaded"
            if model.trouble:
                yield f"# {model.name}: {model.trouble}"
        for ignored in artifact.list_ignored(root):
            yield f"# ignored: {ignored}"
    # A running server would keep the last valid policy, or not serve the model; here an invalid one is an error.
    try:
        for name in artifact.list_models(root):
            read_policy(policies.root, name)
    except PolicyError as error:
        raise SettingsError(str(error)) from error


def _judge(root: Path, name: str, version: "VersionListing") -> str:
    if version.state == "available":  # opened on demand, so the repository hasn't read it
        try:
            artifact.read_version(root, name, version.version)
        except ModelError as error:
            return str(error)
    return version.reason or "good"
