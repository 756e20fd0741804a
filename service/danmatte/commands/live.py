"""`danmatte live`: the masks of a stream while it runs."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from danmatte.commands.track import parse_box, parse_names


def add_live(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The command and its flags."""
    command = add(
        "live",
        run_live,
        "make the masks of a stream while it runs: as a rendition of HLS, or within its H.264",
        "danmatte live rtmp://127.0.0.1/live/in masks.m3u8",
        "danmatte live rtmp://127.0.0.1/live/in rtmp://127.0.0.1/live/out --delay-s 0.5",
    )
    command.add_argument("source", metavar="SOURCE", help="an address of RTMP, HLS or UDP, a file, or pipe:0")
    command.add_argument(
        "target",
        metavar="TARGET",
        help="an .m3u8 for masks beside the stream; a file, RTMP, UDP or pipe:1 for them within it",
    )
    command.add_argument(
        "--size", metavar="WIDTHxHEIGHT", help="of the masks: the largest that fits (default: 320x180)"
    )
    command.add_argument(
        "--margin", type=float, metavar="SHARE", help="distance from people, 0 to 0.05 of the height (default: 0)"
    )
    command.add_argument(
        "--region",
        metavar="NAMES",
        help="what is painted, such as person,text, where the model finds it (default: its own)",
    )
    command.add_argument("--segment-s", type=float, metavar="N", help="length of a segment of masks (default: 2)")
    command.add_argument("--window", type=int, metavar="N", help="segments that the playlist lists (default: 6)")
    command.add_argument(
        "--delay-s",
        type=float,
        metavar="N",
        help="how long a packet waits for its mask within the stream (default: 0.5)",
    )
    command.add_argument(
        "--reconnect-s",
        type=float,
        metavar="N",
        help="how long a stream of the network that broke off is called again (default: 30)",
    )
    command.add_argument(
        "--models", type=Path, metavar="DIR", help="folder of <name>/<version>/ (default: ./models, or the bundled one)"
    )
    command.add_argument("--model", metavar="NAME", help="which of them (default: the only one that makes masks)")


def run_live(source: str, target: str, size: str = "", region: str = "", **options: Any) -> int:
    """`danmatte live`: 0 when the stream ended well, 1 when it had no picture that a mask could be made of."""
    from danmatte.broadcast import commands

    if size:
        options["box"] = parse_box(size)
    if region:
        options["regions"] = parse_names(region)
    return commands.run_live(source, target, options)
