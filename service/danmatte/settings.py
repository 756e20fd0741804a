"""Settings of a server. Flags override environment variables, which override a TOML file and the defaults."""

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from danmatte.contract.near_words import did_you_mean
from danmatte.errors import SettingsError

PREFIX = "DANMATTE_"
FILE_VARIABLE = "DANMATTE_SETTINGS"  # the path of the settings file
_OTHERS = (FILE_VARIABLE, "DANMATTE_KEY")  # variables that aren't settings
# Variables of this project's tests and scripts, which start servers in the same environment.
_TESTS = re.compile(r"DANMATTE_(SHARED|KSERVE|RESTART_POSTS|FUZZ_[A-Z]+)", re.ASCII)
# Variables that Kubernetes sets in every pod for a Service named `danmatte` or `danmatte-…`.
_SERVICE_LINK = re.compile(r"DANMATTE_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)", re.ASCII)
Count = Annotated[int, Meta(ge=1)]
Chosen = Annotated[int, Meta(ge=0)]  # 0: derived from the machine's cores
Seconds = Annotated[float, Meta(gt=0, le=3600)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of a server, with the descriptions shown by `--help` and the documentation."""

    host: Annotated[str, Meta(min_length=1, description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 for any free port")] = 8080
    grpc_port: Annotated[int, Meta(ge=0, le=65535, description="port of the gRPC server; 0 disables it")] = 0
    admin_port: Annotated[
        int, Meta(ge=0, le=65535, description="port of the admin API, on the loopback address; 0 disables it")
    ] = 0
    admin_grpc_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="port of a gRPC server that may load and unload models, on the loopback address; 0 disables it",
        ),
    ] = 0
    models: Annotated[
        str,
        Meta(
            description="folder of models `<name>/<version>/`, or the folder of one model or one version; "
            "if empty, `./models`, or the bundled model if that has none"
        ),
    ] = ""
    policies: Annotated[
        str,
        Meta(
            description="folder of the serving policies `<name>/serving.toml`, for a read-only models folder; "
            "if empty, the models folder"
        ),
    ] = ""
    model: Annotated[
        str,
        Meta(
            description="model for requests that name none; if empty, the only one that makes masks; "
            "also the name of a model whose own folder is given as `models`"
        ),
    ] = ""
    max_body_bytes: Annotated[Count, Meta(description="maximum size of a body, before and after decompression")] = (
        16 * 2**20
    )
    max_bytes_under_way: Annotated[
        Count, Meta(description="maximum bytes of request and response bodies in a worker's memory")
    ] = 96 * 2**20
    max_pixels: Annotated[
        Count, Meta(description="maximum pixels of a picture or mask; larger pictures aren't decoded")
    ] = 4096 * 4096
    max_header_bytes: Annotated[Count, Meta(description="maximum length of the request line and of each header")] = 8190
    max_headers: Annotated[Count, Meta(description="maximum number of headers of a request")] = 128
    queue: Annotated[
        Chosen,
        Meta(
            description="maximum requests of a worker that are being received, waiting or computed; "
            "0 for 8 for each core, but at least 64"
        ),
    ] = 0
    workers: Annotated[
        Count, Meta(description="number of processes on the port, each with its own models and cores")
    ] = 1
    cores: Annotated[Chosen, Meta(description="cores of each worker; 0 divides the machine's cores evenly")] = 0
    pixel_threads: Annotated[
        Chosen, Meta(description="threads of each worker for decoding, inference and encoding; 0 for one for each core")
    ] = 0
    in_flight: Annotated[
        Chosen, Meta(description="maximum requests that a worker computes at once; 0 derives it from its cores")
    ] = 0
    spare_versions: Annotated[Count, Meta(description="maximum older versions kept open, of all models together")] = 2
    watch_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="interval between checks for changed models, keys and certificates; 0 disables the checks",
        ),
    ] = 2.0
    check_answers: Annotated[
        Literal["off", "warn", "refuse"],
        Meta(
            description="what to do with a version whose masks on this CPU differ too much from its stored ones; "
            "off doesn't compare them"
        ),
    ] = "warn"
    max_disagreement: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="maximum difference between a version's masks and its stored ones, in points: 100 · (1 − IoU)",
        ),
    ] = 2.0
    cache: Annotated[
        str, Meta(description="folder for compiled graphs, not writable by other users; if empty, they aren't cached")
    ] = ""
    cache_bytes: Annotated[Count, Meta(description="maximum size of the cached graphs")] = 2**30
    max_wait_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="maximum predicted wait; a request that would wait longer is rejected; "
            "0 for the time of one inference",
        ),
    ] = 0.0
    deadline_s: Annotated[
        Seconds, Meta(description="maximum time for a response, counted from the end of the request's body")
    ] = 10.0
    upload_s: Annotated[Seconds, Meta(description="maximum time to receive a request's body")] = 10.0
    live_connections: Annotated[
        Count, Meta(description="maximum live connections and gRPC streams of a worker, counted together")
    ] = 16
    live_in_work: Annotated[Count, Meta(description="maximum frames of a live connection computed at once")] = 2
    live_idle_s: Annotated[Seconds, Meta(description="time after which a live connection without frames is closed")] = (
        300.0
    )
    live_unread_s: Annotated[Seconds, Meta(description="maximum time for a live client to read an answer")] = 10.0
    live_heartbeat_s: Annotated[Seconds, Meta(description="interval between pings to a silent live or gRPC client")] = (
        20.0
    )
    grace_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description='time for which a stopping server reports "not ready" but keeps serving, so that load '
            "balancers notice",
        ),
    ] = 0.0
    drain_s: Annotated[Seconds, Meta(description="maximum wait for open requests when stopping")] = 30.0
    silence_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="time after which a worker without a heartbeat is killed and restarted, if there are several; "
            "0 disables this",
        ),
    ] = 20.0
    keepalive_s: Annotated[
        Seconds, Meta(description="maximum time that a connection may idle, or take to send its headers")
    ] = 75.0
    connection_s: Annotated[
        float,
        Meta(
            ge=0,
            description="maximum age of a connection, so that clients reconnect and spread over the workers; "
            "0 for no limit",
        ),
    ] = 60.0
    keys: Annotated[
        str,
        Meta(description="TOML file of API keys, as `danmatte key` prints them; if empty, no key is required"),
    ] = ""
    origins: Annotated[
        str,
        Meta(
            description="origins whose pages may use the server, such as `https://site.example`, separated by commas; "
            "`*` allows all"
        ),
    ] = ""
    trusted_proxies: Annotated[
        str, Meta(description="addresses and networks of proxies whose `X-Forwarded-For` or `Forwarded` is trusted")
    ] = ""
    open: Annotated[bool, Meta(description="allow listening on other than loopback addresses without keys")] = False
    open_metrics: Annotated[bool, Meta(description="allow reading `/metrics` without a key")] = False
    tls_certificate: Annotated[
        str, Meta(description="PEM file of the certificate chain; if empty, plain HTTP is served")
    ] = ""
    tls_key: Annotated[str, Meta(description="PEM file of the certificate's private key")] = ""
    log: Annotated[Literal["text", "json"], Meta(description="format of the application log on standard error")] = (
        "text"
    )
    access_log: Annotated[
        Literal["off", "json"], Meta(description="write one line for each request to standard output")
    ] = "off"
    otlp_endpoint: Annotated[
        str, Meta(description="URL to send traces to, OTLP over HTTP; if empty, no traces are made")
    ] = ""

    @classmethod
    def read(cls, file: Path | None = None, **flags: Any) -> "Settings":
        """Return the settings of a file, overridden by flags. The environment is ignored. Raises SettingsError."""
        return resolve_settings(file, {}, flags).settings

    @property
    def models_folder(self) -> Path:
        """The folder `models`, or the one that `places.find_models` returns."""
        from danmatte.contract.places import find_models  # imports NumPy, which the health probe doesn't need

        return Path(self.models) if self.models else find_models()

    @property
    def policies_folder(self) -> Path:
        """The folder `policies`, or the models folder."""
        return Path(self.policies) if self.policies else self.models_folder


@dataclass(frozen=True)
class ResolvedSettings:
    """Settings with their origins: the flag, variable or file that set each of them; defaults have no entry."""

    settings: Settings
    origins: dict[str, str]


def resolve_settings(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> ResolvedSettings:
    """Merge flags, environment variables `DANMATTE_…` and the file, in this order of precedence.

    Raises SettingsError that names the flag, variable or file.
    """
    named = environment.get(FILE_VARIABLE, "")
    file = file or (Path(named) if named else None)
    values, origins = _read_file(file) if file else ({}, {})
    variables = {to_variable(name): name for name in Settings.__struct_fields__}
    given: list[tuple[str, str, Any]] = []  # the place, the setting's name and its value
    for key, text in environment.items():
        is_link = _SERVICE_LINK.fullmatch(key) or (key.endswith("_PORT") and "://" in text)
        if key.startswith(PREFIX) and key not in _OTHERS and not is_link and not _TESTS.fullmatch(key):
            _check_known(key, variables, f"environment: expected a setting after {PREFIX}: unknown variable")
            given.append((key, variables[key], text))
    for name, value in flags.items():
        _check_known(name, Settings.__struct_fields__, "settings: unknown key")
        given.append((to_flag(name), name, value))
    for place, name, value in given:
        values[name], origins[name] = _convert(place, name, value), place
    settings = Settings(**values)
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingsError("tls_certificate, tls_key: expected both or neither")
    if not (is_loopback(settings.host) or settings.keys or settings.open):
        raise SettingsError(
            f"host: expected a loopback address unless `keys` or `open` is set, received {settings.host!r}"
        )
    return ResolvedSettings(settings, origins)


def _read_file(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: expected a readable TOML file: {error}") from error
    for key in table:
        _check_known(key, Settings.__struct_fields__, f"{file}: unknown key")
    try:
        settings = msgspec.convert(table, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {error}") from error
    return {key: getattr(settings, key) for key in table}, dict.fromkeys(table, str(file))


def _check_known(key: str, known: Collection[str], complaint: str) -> None:
    if key not in known:
        raise SettingsError(f"{complaint} {key!r}{did_you_mean(key, known)}")


def _convert(place: str, name: str, value: Any) -> Any:
    """Convert a value to its setting's type, parsing it if it is text."""
    try:
        return getattr(msgspec.convert({name: value}, Settings, strict=not isinstance(value, str)), name)
    except msgspec.ValidationError as error:
        allowed = describe_settings()[name].allowed
        raise SettingsError(f"{place}: {error}, received {value!r}{allowed and f'; {name} is {allowed}'}") from error


def is_loopback(host: str) -> bool:
    """Return whether an address is a loopback address. Of host names, only `localhost` is."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def to_variable(name: str) -> str:
    """Return the name of the setting's environment variable."""
    return PREFIX + name.upper()


def to_flag(name: str) -> str:
    """Return the setting's flag on the command line."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True)
class SettingFacts:
    """Description of a setting for the help and the documentation; `allowed` is empty if any text is valid."""

    description: str
    default: Any
    allowed: str


def describe_settings() -> dict[str, SettingFacts]:
    """Return every setting's description by name, in order of declaration."""
    found = {}
    for field in msgspec.structs.fields(Settings):
        notes = getattr(field.type, "__metadata__", ())
        description = " ".join(note.description for note in notes if note.description)
        found[field.name] = SettingFacts(description, field.default, _describe_allowed(field.type))
    return found


def _describe_allowed(kind: Any) -> str:
    known = msgspec.inspect.type_info(kind)
    if isinstance(known, msgspec.inspect.Metadata):
        known = known.type
    if isinstance(known, msgspec.inspect.LiteralType):
        return " or ".join(str(value) for value in reversed(known.values))
    if isinstance(known, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        low = f"more than {known.gt:g}" if known.gt is not None else f"at least {known.ge:g}"
        return low if known.le is None else f"{low}, at most {known.le:g}"
    return ""
