"""How one server is run: a strict TOML file, and flags over it."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from service.errors import SettingsError, did_you_mean

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=3600)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every knob of the server; `read` validates them.

    `model` is the default model, or empty for the only one. `queue` counts the posts inside at once:
    arriving, waiting and in work. `workers`, `in_flight` and `cores` are chosen from the machine when 0.
    """

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 8080
    models: str = ""
    model: str = ""
    max_body_bytes: Count = 16 * 2**20
    max_pixels: Count = 4096 * 4096
    queue: Count = 64
    cores: Annotated[int, Meta(ge=0)] = 0
    workers: Annotated[int, Meta(ge=0)] = 0
    in_flight: Annotated[int, Meta(ge=0)] = 0
    spare_versions: Count = 2
    deadline_s: Seconds = 10.0
    upload_s: Seconds = 10.0
    drain_s: Seconds = 30.0

    @classmethod
    def read(cls, file: Path | None = None, **flags: Any) -> "Settings":
        """The file's table with the flags over it; raises SettingsError, naming the place."""
        table = _table(file) if file else {}
        place = str(file) if file else "settings"
        known = list(cls.__struct_fields__)
        for key in (key for key in table | flags if key not in known):
            raise SettingsError(f"{place}: unknown key {key!r}{did_you_mean(key, known)}")
        try:
            return msgspec.convert(table | flags, cls)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{place}: {error}") from error

    @property
    def models_folder(self) -> Path:
        """`models`, or the folder of that name here, or the checkout's."""
        if self.models:
            return Path(self.models)
        here = Path("models")
        return here if here.is_dir() else Path(__file__).parent.parent / "models"


def _table(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file}: expected a readable TOML file: {error}") from error
