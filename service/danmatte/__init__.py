"""Person masks for video frames.

    import danmatte

    mask = danmatte.matte("frame.jpg")                 # (height, width) uint8, 255 where a person is

    with danmatte.Segmenter(version=3) as segmenter:   # one model for many frames
        mask = segmenter.matte(pixels, size=(320, 180))

    danmatte.track("film.mp4", "film.mattes")          # the masks of a whole video

These functions run the model in the calling process. `danmatte.client` sends requests to a server started by
`danmatte serve` instead. A bad picture, model or option raises one of `danmatte.errors`. `import danmatte` is fast:
the libraries that the names below need are imported when a name is first used.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from danmatte import client, errors
    from danmatte.segmenter import FinishedTrack, Segmenter, VideoSegmenter, matte, track

    __version__: str

# OpenVINO sends telemetry to its vendor when it is imported; with None here, it can't import the library for that.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

__all__ = ["FinishedTrack", "Segmenter", "VideoSegmenter", "client", "errors", "matte", "track"]

_MODULES = ("client", "errors")


if not TYPE_CHECKING:  # otherwise a type checker would accept any attribute name

    def __getattr__(name: str) -> object:
        """Return one of the public names, importing it at first use."""
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
