"""Tracks of a long generated video: constant memory, resuming after a kill, and reporting a truncated video."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from danmatte.tracks import TrackReader
from danmatte.video.reader import Video
from images import read_image

ROOT = Path(__file__).resolve().parent.parent
DANMATTE = ROOT / ".venv" / "bin" / "danmatte"
SAMPLES = ROOT / "workbench/danmatte_workbench/samples"
WIDTH, HEIGHT, RATE = 1280, 720, 15
SCENE_S = 6
EVERY_S = 0.5


def make(path: Path, minutes: float) -> None:
    """Write a 720p H.264 video of this length in which each bundled picture, panned and zoomed, is a scene."""
    pictures = [read_image(file) for file in sorted(SAMPLES.glob("*.jpg"))]
    scenes = itertools.cycle(pictures)
    options = {"preset": "ultrafast", "crf": "26"}
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=RATE, width=WIDTH, height=HEIGHT, options=options)
        for at in range(round(minutes * 60 * RATE)):
            if at % (SCENE_S * RATE) == 0:
                picture = next(scenes)
            view = _view(picture, at % (SCENE_S * RATE) / (SCENE_S * RATE))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, "rgb24")))
        container.mux(stream.encode(None))


def _view(picture: np.ndarray, share: float) -> np.ndarray:
    """Return what a moving and shrinking window shows of the picture; ``share`` is the position from 0 to 1."""
    height, width = picture.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height) * (1.05 + 0.3 * share)
    x = (width * scale - WIDTH) * share
    y = (height * scale - HEIGHT) * (1 - share)
    moved = np.array([[scale, 0, -x], [0, scale, -y]])
    return cv2.warpAffine(picture, moved, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def run(models: Path, model: str, minutes: float) -> dict[str, Any]:
    """Track the video; track it again, killed half-way and resumed; and track a truncated copy."""
    with tempfile.TemporaryDirectory() as folder:
        video, cut_off = Path(folder) / "long.mp4", Path(folder) / "truncated.mp4"
        print(f"  making {minutes:g} minutes of {WIDTH}x{HEIGHT}", flush=True)
        make(video, minutes)
        shutil.copy(video, cut_off)
        os.truncate(cut_off, video.stat().st_size * 2 // 3)
        command = [DANMATTE, "track", "--json", "-", "--models", models, "--model", model]
        whole = _run_track(command, video, video.with_suffix(".mattes"))
        resumed = _kill_half_way(command, video, Path(folder) / "resumed.mattes", whole["seconds"] / 2)
        facts = {
            "minutes": minutes,
            "whole": whole | _times(video, video.with_suffix(".mattes")),
            "resumed": resumed | _times(video, Path(folder) / "resumed.mattes"),
            "truncated": _run_track(command, cut_off, cut_off.with_suffix(".mattes")),
        }
    for name, found in facts.items():
        print(f"  {name}: {found}")
    return facts


def _run_track(command: list[Any], video: Path, track: Path) -> dict[str, Any]:
    """Write one track; return the process' mean memory, in MiB, in five parts of its time without the first tenth."""
    started, resident = time.monotonic(), []
    with subprocess.Popen([*command, video, "-o", track], stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            resident.append(_resident_mib(process.pid))
            time.sleep(EVERY_S)
        summary = json.loads(process.stdout.read())[0] if process.stdout else {}
    settled = [size for size in resident[len(resident) // 10 :] if size] or [0.0]
    parts = np.array_split(np.array(settled), 5)
    return {
        "seconds": time.monotonic() - started,
        "exit_code": process.returncode,
        "memory_mib": [round(float(part.mean()), 1) for part in parts if len(part)],
        "summary": {key: value for key, value in summary.items() if key not in ("video", "track")},
    }


def _kill_half_way(command: list[Any], video: Path, track: Path, after_s: float) -> dict[str, Any]:
    with subprocess.Popen([*command, video, "-o", track], stdout=subprocess.DEVNULL) as process:
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
    return {"killed_after_s": after_s, "was_there": track.exists()} | _run_track(command, video, track)


def _times(video: Path, track: Path) -> dict[str, Any]:
    """Return the number of frames, and whether each has exactly one mask, at its time."""
    with Video(video) as frames, TrackReader(track) as masks:
        shown, masked = [shot.pts_ms for shot in frames.read_frames()], [entry.pts_ms for entry in masks]
    return {"frames": len(shown), "same_times": shown == masked}


def _resident_mib(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)
