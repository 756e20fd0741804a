"""Create the demo page's clip from the bundled pictures, and its track of masks.

    python scripts/sample_clip.py

The clip moves slowly over real photographs, with two hard cuts between them. Their authors are listed in
`workbench/danmatte_workbench/samples/README.md`.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from images import read_image

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "workbench" / "danmatte_workbench" / "samples"
WEB = ROOT / "service" / "danmatte" / "web"
DANMATTE = ROOT / ".venv" / "bin" / "danmatte"
WIDTH, HEIGHT, RATE = 640, 360, 25
QUALITY = {"crf": "34", "b:v": "0", "deadline": "good", "cpu-used": "1", "row-mt": "1"}
SECOND_PER_KEYFRAME = 1

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """A window onto a picture: its centre and its width, as shares of the picture's size."""

    x: float
    y: float
    width: float

    def towards(self, other: "View", share: float) -> "View":
        """Return the view at ``share`` of the way to another."""
        steps = (other.x - self.x, other.y - self.y, other.width - self.width)
        return View(self.x + share * steps[0], self.y + share * steps[1], self.width + share * steps[2])


@dataclass(frozen=True)
class Shot:
    """A move over one picture from one view to another."""

    picture: str
    seconds: float
    start: View
    end: View


SHOTS = (
    Shot("panel.jpg", 3.6, View(0.5, 0.5, 1.0), View(0.56, 0.44, 0.8)),
    Shot("two-speakers.jpg", 3.6, View(0.41, 0.58, 0.8), View(0.59, 0.57, 0.8)),
    Shot("hopper-brick.jpg", 2.8, View(0.58, 0.5, 0.76), View(0.5, 0.5, 0.98)),
)


def main() -> int:
    """Write the clip, then its track with `danmatte track`; return the command's exit code."""
    parser = argparse.ArgumentParser(prog="scripts/sample_clip.py", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=WEB / "sample.webm")
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    options = parser.parse_args()
    write(options.out, [frame for shot in SHOTS for frame in frames(shot)])
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")
    track = options.out.with_suffix(".mattes")
    command = [DANMATTE, "track", options.out, "--models", options.models, "--out", track, "--again"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def frames(shot: Shot) -> Iterator[Pixels]:
    """Yield the shot's frames, BGR."""
    picture = read_image(SAMPLES / shot.picture, cv2.IMREAD_COLOR_BGR)
    count = round(shot.seconds * RATE)
    for number in range(count):
        eased = 0.5 - 0.5 * np.cos(np.pi * number / (count - 1))
        yield window(picture, shot.start.towards(shot.end, eased))


def window(picture: Pixels, view: View) -> Pixels:
    """Return what the view shows at the clip's size, resampled at twice that size and then averaged."""
    height, width = picture.shape[:2]
    scale = WIDTH / (view.width * width)
    move = np.array(
        [
            [2 * scale, 0, WIDTH - 2 * scale * view.x * width],
            [0, 2 * scale, HEIGHT - 2 * scale * view.y * height],
        ]
    )
    large = cv2.warpAffine(
        picture, move, (2 * WIDTH, 2 * HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(large, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def write(path: Path, pictures: list[Pixels]) -> None:
    """Write a VP9 WebM, which all browsers play."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=RATE, options=QUALITY)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = RATE * SECOND_PER_KEYFRAME
        stream.time_base = Fraction(1, RATE)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    sys.exit(main())
