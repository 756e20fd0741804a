"""`danmatte live`: masks of a live stream."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from danmatte.commands.track import parse_box, parse_names


def add_live(add: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command and its flags."""
    command = add(
        "live",
        run_live,
        "make the masks of a live stream: as an HLS rendition, or inside its H.264 video",
        "danmatte live rtmp://127.0.0.1/live/in masks.m3u8",
        "danmatte live rtmp://127.0.0.1/live/in rtmp://127.0.0.1/live/out --delay-s 0.5",
    )
    command.add_argument("source", metavar="SOURCE", help="an RTMP, HLS or UDP address, a file, or pipe:0")
    command.add_argument(
        "target",
        metavar="TARGET",
        help="an .m3u8 file for masks beside the stream; a file, an RTMP or UDP address, or pipe:1 for masks inside it",
    )
    command.add_argument(
        "--size",
        metavar="WIDTHxHEIGHT",
        help="maximum size of the masks, which keep the video's shape (default: 320x180)",
    )
    command.add_argument(
        "--margin", type=float, metavar="SHARE", help="margin around people, 0 to 0.05 of the height (default: 0)"
    )
    command.add_argument(
        "--region",
        metavar="NAMES",
        help="regions to mask, separated by commas, such as person,text, if the model finds them "
        "(default: the model's own)",
    )
    command.add_argument("--segment-s", type=float, metavar="N", help="length of a segment of masks (default: 2)")
    command.add_argument("--window", type=int, metavar="N", help="number of segments in the playlist (default: 6)")
    command.add_argument(
        "--delay-s",
        type=float,
        metavar="N",
        help="how long packets are delayed for their masks, with masks inside the stream (default: 0.5)",
    )
    command.add_argument(
        "--reconnect-s",
        type=float,
        metavar="N",
        help="how long to try to reconnect to an interrupted network stream (default: 30)",
    )
    command.add_argument(
        "--models", type=Path, metavar="DIR", help="folder of <name>/<version>/ (default: ./models, or the bundled one)"
    )
    command.add_argument(
        "--model", metavar="NAME", help="model that makes the masks (default: the only one that makes masks)"
    )


def run_live(source: str, target: str, size: str = "", region: str = "", **options: Any) -> int:
    """Run `danmatte live`; the exit code is 0 at the end of the stream, 1 if it had no frame to make a mask of."""
    from danmatte.broadcast import commands

    if size:
        options["box"] = parse_box(size)
    if region:
        options["regions"] = parse_names(region)
    return commands.run_live(source, target, options)
