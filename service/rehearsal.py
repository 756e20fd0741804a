"""What can be known before serving, and asked while it lasts: the settings, the models, a server's health."""

import json
import ssl
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from service import artifact
from service.errors import ModelError, SettingsError
from service.keys import Keys
from service.listening import tls
from service.settings import Configuration, Settings, described

_PATIENCE_S = 5.0


def rehearse(configuration: Configuration) -> Iterator[str]:
    """The settings and whence they come, then the models; raises SettingsError on what would stop the server.

    Reads every file that serving would, and compiles nothing.
    """
    settings = configuration.settings
    for name in described():
        value = json.dumps(_shown(name, getattr(settings, name)), ensure_ascii=False)
        yield f"{name} = {value}  # {configuration.origins.get(name, 'default')}"
    if settings.keys:
        Keys.read(Path(settings.keys))
    tls(settings)
    yield from _models(settings)


def is_ready(settings: Settings, url: str = "") -> bool:
    """Whether a server takes posts: the one at the URL, or the one on this machine with these settings."""
    url = url or f"{'https' if settings.tls_certificate else 'http'}://{_reached(settings.host)}:{settings.port}"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is asked one public question
    try:
        with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=_PATIENCE_S, context=context) as answer:
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def _models(settings: Settings) -> Iterator[str]:
    good = []
    for name in artifact.names(settings.models_folder):
        for version in artifact.versions(settings.models_folder, name):
            try:
                artifact.read(settings.models_folder, name, version)
            except ModelError as error:
                yield f"# {name}/{version}: {error}"
            else:
                good.append(name)
                yield f"# {name}/{version}: good"
    wanted = settings.model or (good[0] if len(set(good)) == 1 else "")
    if wanted not in good:
        folder, expected = settings.models_folder, settings.model or "one model, or `model` to choose"
        raise SettingsError(f"{folder}: expected {expected}, received {sorted(set(good)) or 'no good version'}")


def _shown(name: str, value: object) -> object:
    """The value without secrets: a URL may hold a password."""
    if name != "otlp_endpoint" or "@" not in str(value):
        return value
    parts = urlsplit(str(value))
    return urlunsplit(parts._replace(netloc="…@" + parts.netloc.rpartition("@")[2]))


def _reached(host: str) -> str:
    """Where a server that listens on `host` is reached from here."""
    nearest = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{nearest}]" if ":" in nearest else nearest
