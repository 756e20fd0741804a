"""The access log: a line of JSON for each request."""

from collections.abc import Callable, Mapping

import msgspec

from danmatte.telemetry.background_writer import BackgroundWriter


class AccessLog(BackgroundWriter[Mapping[str, object]]):
    """Objects in, lines of JSON out."""

    def __init__(self, descriptor: int, *, longest: int = 10_000, on_drop: Callable[[], None] = lambda: None) -> None:
        encode = msgspec.json.Encoder().encode
        super().__init__(descriptor, encode, name="access-log", longest=longest, on_drop=on_drop)
