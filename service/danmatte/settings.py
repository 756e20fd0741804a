"""How one server is run: flags over the environment over a strict TOML file over the defaults."""

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
FILE_VARIABLE = "DANMATTE_SETTINGS"  # names the file
_OTHERS = (FILE_VARIABLE, "DANMATTE_KEY")  # variables that aren't settings
# What this project's own tests and scripts are told; where they are told it, servers are started, too.
_TESTS = re.compile(r"DANMATTE_(SHARED|KSERVE|RESTART_POSTS|FUZZ_[A-Z]+)", re.ASCII)
# What Kubernetes gives every pod beside a Service that is called danmatte, or danmatte-canary, say.
_SERVICE_LINK = re.compile(r"DANMATTE_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)", re.ASCII)
Count = Annotated[int, Meta(ge=1)]
Chosen = Annotated[int, Meta(ge=0)]  # 0: chosen from the machine
Seconds = Annotated[float, Meta(gt=0, le=3600)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that can be set about a server, with the descriptions that help and papers show."""

    host: Annotated[str, Meta(min_length=1, description="address to listen on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="port to listen on; 0 takes a free one")] = 8080
    grpc_port: Annotated[int, Meta(ge=0, le=65535, description="port for gRPC to listen on; none when 0")] = 0
    admin_port: Annotated[
        int, Meta(ge=0, le=65535, description="port of the admin API, for this machine only; none when 0")
    ] = 0
    admin_grpc_port: Annotated[
        int,
        Meta(ge=0, le=65535, description="port for gRPC that loads and unloads, for this machine only; none when 0"),
    ] = 0
    models: Annotated[
        str,
        Meta(
            description="folder of `<name>/<version>/`, or of one model's versions, or a version; "
            "when empty `./models`, or the bundled one if that has none"
        ),
    ] = ""
    policies: Annotated[
        str,
        Meta(description="folder of `<name>/serving.toml`, where the models' own can't be written to; that when empty"),
    ] = ""
    model: Annotated[
        str,
        Meta(
            description="model of requests that name none, the only one that makes masks when empty; "
            "a model mounted alone is called so"
        ),
    ] = ""
    max_body_bytes: Annotated[Count, Meta(description="largest body, also once decompressed")] = 16 * 2**20
    max_bytes_under_way: Annotated[
        Count, Meta(description="most bytes of bodies and answers that a worker has in memory at once")
    ] = 96 * 2**20
    max_pixels: Annotated[Count, Meta(description="largest picture or mask; nothing larger is decoded")] = 4096 * 4096
    max_header_bytes: Annotated[Count, Meta(description="longest request line, and longest header")] = 8190
    max_headers: Annotated[Count, Meta(description="most headers of a request")] = 128
    queue: Annotated[
        Chosen,
        Meta(description="most requests inside a worker: arriving, waiting, computing; 0 for 8 a core, at least 64"),
    ] = 0
    workers: Annotated[Count, Meta(description="processes on the port, each with its own models and cores")] = 1
    cores: Annotated[Chosen, Meta(description="cores of a worker; 0 for its share of the machine's")] = 0
    pixel_threads: Annotated[Chosen, Meta(description="threads of a worker that compute; 0 for one a core")] = 0
    in_flight: Annotated[
        Chosen, Meta(description="most requests that a worker computes at once; 0 for what its cores need")
    ] = 0
    spare_versions: Annotated[Count, Meta(description="most older versions that stay open, of all models together")] = 2
    watch_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="time between two looks for changed models, keys, certificates; 0 never looks"),
    ] = 2.0
    check_answers: Annotated[
        Literal["off", "warn", "refuse"],
        Meta(description="what happens to a version whose answers on this CPU are too far from its stored ones"),
    ] = "warn"
    max_disagreement: Annotated[
        float,
        Meta(ge=0, le=100, description="points that a version's masks may be from its stored ones, 100 · (1 − IoU)"),
    ] = 2.0
    cache: Annotated[str, Meta(description="folder for compiled graphs, this user's alone; none when empty")] = ""
    cache_bytes: Annotated[Count, Meta(description="most that compiled graphs may take there")] = 2**30
    max_wait_s: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="a request with a longer predicted wait is rejected; 0 for the time of one inference",
        ),
    ] = 0.0
    deadline_s: Annotated[Seconds, Meta(description="longest wait for an answer, once the body is there")] = 10.0
    upload_s: Annotated[Seconds, Meta(description="longest wait for a body")] = 10.0
    live_connections: Annotated[
        Count, Meta(description="most live connections and gRPC streams of a worker, together")
    ] = 16
    live_in_work: Annotated[Count, Meta(description="most frames of a live connection that are computed at once")] = 2
    live_idle_s: Annotated[Seconds, Meta(description="longest that a live connection stays without a frame")] = 300.0
    live_unread_s: Annotated[Seconds, Meta(description="longest wait for a live client to read an answer")] = 10.0
    live_heartbeat_s: Annotated[Seconds, Meta(description="time between pings of a silent live or gRPC client")] = 20.0
    grace_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="time to serve on when told to stop, not ready, so that balancers notice"),
    ] = 0.0
    drain_s: Annotated[Seconds, Meta(description="longest wait for open requests when stopping")] = 30.0
    silence_s: Annotated[
        float,
        Meta(ge=0, le=3600, description="longest silence of one of several workers before it is replaced; 0 for ever"),
    ] = 20.0
    keepalive_s: Annotated[
        Seconds, Meta(description="longest that a connection idles, or takes to send its headers")
    ] = 75.0
    connection_s: Annotated[
        float, Meta(ge=0, description="longest that a connection stays with a worker, as others may idle; 0 for ever")
    ] = 60.0
    keys: Annotated[str, Meta(description="TOML file of API keys, as `danmatte key` prints them; none when empty")] = ""
    origins: Annotated[
        str,
        Meta(description="origins whose pages may ask, as `https://site.example`, commas between; `*` is every page"),
    ] = ""
    trusted_proxies: Annotated[
        str, Meta(description="addresses and networks of proxies whose `X-Forwarded-For` or `Forwarded` counts")
    ] = ""
    open: Annotated[bool, Meta(description="listen beyond this machine without keys")] = False
    open_metrics: Annotated[bool, Meta(description="let `/metrics` be read without a key")] = False
    tls_certificate: Annotated[str, Meta(description="PEM file of the certificate chain; plain HTTP when empty")] = ""
    tls_key: Annotated[str, Meta(description="PEM file of the certificate's key")] = ""
    log: Annotated[
        Literal["text", "json"], Meta(description="how the process' own log is written, on the error stream")
    ] = "text"
    access_log: Annotated[Literal["off", "json"], Meta(description="one line for each request, on standard output")] = (
        "off"
    )
    otlp_endpoint: Annotated[str, Meta(description="URL that traces go to, OTLP over HTTP; none when empty")] = ""

    @classmethod
    def read(cls, file: Path | None = None, **flags: Any) -> "Settings":
        """The file's table with the flags over it, whatever the environment says; raises SettingsError."""
        return resolve_settings(file, {}, flags).settings

    @property
    def models_folder(self) -> Path:
        """`models`, or the folder that `places.find_models` finds."""
        from danmatte.contract.places import find_models  # brings NumPy, which a probe does without

        return Path(self.models) if self.models else find_models()

    @property
    def policies_folder(self) -> Path:
        """`policies`, or the folder of models."""
        return Path(self.policies) if self.policies else self.models_folder


@dataclass(frozen=True)
class ResolvedSettings:
    """Settings, and for each that isn't the default the place that set it: a flag, a variable or a file."""

    settings: Settings
    origins: dict[str, str]


def resolve_settings(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any]) -> ResolvedSettings:
    """Flags over the environment's `DANMATTE_…` over the file; raises SettingsError, naming the place."""
    named = environment.get(FILE_VARIABLE, "")
    file = file or (Path(named) if named else None)
    values, origins = _read_file(file) if file else ({}, {})
    variables = {to_variable(name): name for name in Settings.__struct_fields__}
    given: list[tuple[str, str, Any]] = []  # the place, the setting's name and its value
    for key, text in environment.items():
        is_link = _SERVICE_LINK.fullmatch(key) or (key.endswith("_PORT") and "://" in text)
        if key.startswith(PREFIX) and key not in _OTHERS and not is_link and not _TESTS.fullmatch(key):
            _check_known(key, variables, f"environment: all of {PREFIX}… are settings: unknown variable")
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
        raise SettingsError(f"host: expected keys, or `open`, where others can reach it, received {settings.host!r}")
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
    """The value, read from text where it is one."""
    try:
        return getattr(msgspec.convert({name: value}, Settings, strict=not isinstance(value, str)), name)
    except msgspec.ValidationError as error:
        allowed = describe_settings()[name].allowed
        raise SettingsError(f"{place}: {error}, received {value!r}{allowed and f'; {name} is {allowed}'}") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name other than localhost counts as reachable."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def to_variable(name: str) -> str:
    """The setting's name in the environment."""
    return PREFIX + name.upper()


def to_flag(name: str) -> str:
    """The setting's name on the command line."""
    return "--" + name.replace("_", "-")


@dataclass(frozen=True)
class SettingFacts:
    """What the help and the papers say about a setting; `allowed` is empty where any text will do."""

    description: str
    default: Any
    allowed: str


def describe_settings() -> dict[str, SettingFacts]:
    """Every setting by name, in order."""
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
