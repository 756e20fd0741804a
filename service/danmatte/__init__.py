"""Person masks for video frames.

    import danmatte

    mask = danmatte.matte("frame.jpg")                 # (height, width) uint8, 255 where a person is

    with danmatte.Segmenter(version=3) as segmenter:   # one model for many frames
        mask = segmenter.matte(pixels, size=(320, 180))

    danmatte.track("film.mp4", "film.mattes")          # the masks of a whole video

All of these compute in this process. `danmatte.client` asks a server that `danmatte serve` runs. What is wrong with a
picture, a model or an option is raised as one of `danmatte.errors`. Importing this imports none of the libraries that
the names below need.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from danmatte import client, errors
    from danmatte.segmenter import FinishedTrack, Segmenter, VideoSegmenter, matte, track

    __version__: str

# OpenVINO reports to its maker whenever it is imported, unasked; without this library of its own it doesn't.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

__all__ = ["FinishedTrack", "Segmenter", "VideoSegmenter", "client", "errors", "matte", "track"]

_MODULES = ("client", "errors")


if not TYPE_CHECKING:  # a type checker would take every name for one of these

    def __getattr__(name: str) -> object:
        """One of the public names, imported when it is used for the first time."""
        if name == "__version__":
            from importlib.metadata import version

            return version("danmatte")
        if name in _MODULES:
            return import_module(f"danmatte.{name}")
        if name in __all__:
            found = globals()[name] = getattr(import_module("danmatte.segmenter"), name)
            return found
        raise AttributeError(f"module 'danmatte' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
