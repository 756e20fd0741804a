"""The description of a library, and the units that its work is divided into."""

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from danmatte.contract.manifest import Manifest
from danmatte.contract.near_words import did_you_mean
from danmatte.errors import InvalidParameterError
from danmatte.library.judging import Judging
from danmatte.library.storage import StoredFile, name_beside
from danmatte.tracks.batch import TrackOptions
from danmatte.tracks.pipeline import REVISION
from danmatte.tracks.track import Format

PRIVATE = ".danmatte"  # the target's folder for everything but tracks and verdicts
_UNDIVIDED = re.compile(r"\.(av1|h?26[45]|hevc|m2ts?|m2v|m3u8?|mjpe?g|mpd|mpe?g|mpv|mts|obu|ts|vob)$", re.I)
_MAX_PARTS = 1000
_DIGITS = 32  # of a digest in a track's name: 128 bits


@dataclass(frozen=True)
class Library:
    """A library: its videos, the place of their tracks, and how they are made; all that a worker needs on any machine.

    `source` and `target` are paths or URLs, `suffix` is the tracks' format, and `models` is a folder of
    `<name>/<version>/`. Videos larger than `split_bytes` are divided; 0 divides none. A unit isn't retried after
    `max_attempts` failures. It also fails if it takes longer than `item_timeout_s` seconds, or if no frame is decoded
    for `stall_timeout_s` seconds. With `judging`, each video gets a verdict on its quality beside its track. Raises
    InvalidParameterError.
    """

    source: str
    target: str
    models: Path
    model: str = ""
    options: TrackOptions = field(default_factory=TrackOptions)
    suffix: str = ".mattes"
    split_bytes: int = 2**28
    max_attempts: int = 3
    item_timeout_s: float = 3600.0
    stall_timeout_s: float = 120.0
    judging: Judging | None = None

    def __post_init__(self) -> None:
        if self.suffix not in Format.registered:
            near = did_you_mean(self.suffix, list(Format.registered))
            raise InvalidParameterError(f"format: unknown {self.suffix!r}{near}")
        if self.max_attempts < 1:
            raise InvalidParameterError(f"max-attempts: expected at least 1, received {self.max_attempts}")
        if self.split_bytes < 0:
            raise InvalidParameterError(f"split-mib: expected at least 0, received {self.split_bytes / 2**20}")
        for name, value in (("item", self.item_timeout_s), ("stall", self.stall_timeout_s)):
            if not value > 0:
                raise InvalidParameterError(f"{name}-timeout-s: expected more than 0, received {value}")

    def describe_work(self, manifest: Manifest) -> str:
        """Return everything that determines a video's masks, as text for a digest."""
        files, options = manifest.files, asdict(self.options)
        del options["again"]  # all other options, also future ones, may change masks
        return json.dumps([REVISION, files.graph.sha256, files.weights.sha256, self.suffix, options], sort_keys=True)

    def name_verdict(self, unit: "Unit") -> str:
        """Return the name of the verdict on a unit's video in the target; empty if the library isn't judged."""
        return self.judging.name_verdict(unit.video, unit.digest) if self.judging else ""


class Unit(NamedTuple):
    """A unit of work for one worker: a video, or a part of a long one.

    `size_bytes` and `revision` are the storage's; `digest` is computed from them and from everything that determines
    the masks. A long video is divided into `parts` units, and `number` is this unit's index. `attempts` is how often it
    failed before.
    """

    video: str
    size_bytes: int
    revision: str
    digest: str
    number: int = 0
    parts: int = 1
    attempts: int = 0

    @property
    def key(self) -> str:
        """The unit's name in the target's private folder."""
        return self.digest if self.parts == 1 else f"{self.digest}-{self.number}-{self.parts}"

    @property
    def part(self) -> str:
        """The part of a long video as text; empty for a whole video."""
        return "" if self.parts == 1 else f"{self.number + 1} of {self.parts}"

    @property
    def share_bytes(self) -> int:
        """The unit's share of the video's bytes."""
        return self.size_bytes // self.parts

    def name_track(self, suffix: str) -> str:
        """Return the name of the video's track in the target."""
        return name_beside(self.video, f".{self.digest}{suffix}")


@dataclass(frozen=True)
class Shard:
    """One of `count` shards of a library, for one of several machines; `number` starts at 0."""

    number: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Parse `I/N`, with I from 0 to N - 1; raises InvalidParameterError."""
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            raise InvalidParameterError(f"shard: expected I/N with I from 0 to N - 1, received {text!r}")
        return cls(int(number), int(count))

    def holds(self, unit: Unit) -> bool:
        """Return whether a unit belongs to this shard; decided by its digest, so that new videos don't move others."""
        return int(hashlib.sha256(unit.key.encode()).hexdigest()[:16], 16) % self.count == self.number


def make_units(file: StoredFile, work: str, split_bytes: int) -> list[Unit]:
    """Return the units of a video; `work` is the result of `Library.describe_work`.

    Only the file's size decides, so it isn't opened. Formats that can't be decoded from the middle aren't divided.
    """
    whole = not split_bytes or _UNDIVIDED.search(file.name)
    count = 1 if whole else min(_MAX_PARTS, max(1, math.ceil(file.size_bytes / split_bytes)))
    words = json.dumps([file.name, file.size_bytes, file.revision, work, *([count] if count > 1 else [])])
    digest = hashlib.sha256(words.encode()).hexdigest()[:_DIGITS]
    return [Unit(*file, digest, number, count) for number in range(count)]
