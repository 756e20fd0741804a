"""`matting`: the service on the command line. Commands import what they need, so that help is instant."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; 0 when done, 2 when it can't be done like this."""
    options = vars(_parser().parse_args(arguments))
    command = options.pop("command")
    return _schema() if command == "schema" else _serve(**options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="matting", description="Person masks for video frames, over HTTP.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve a folder of published models", argument_default=argparse.SUPPRESS)
    serve.add_argument("--host", help="address to listen on; this machine only unless given")
    serve.add_argument("--port", type=int, help="port to listen on; 0 takes a free one")
    serve.add_argument("--models", metavar="DIR", help="folder of <name>/<version>/")
    serve.add_argument("--model", metavar="NAME", help="the model of requests that name none")
    serve.add_argument("--settings", type=Path, metavar="FILE", help="TOML with these and further settings")
    commands.add_parser("schema", help="print the JSON Schema of a published version's manifest")
    return parser


def _serve(settings: Path | None = None, **flags: object) -> int:
    import asyncio
    import logging

    from service.app import serve
    from service.errors import ServiceError
    from service.settings import Settings

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # What isn't HTTP at all is no fault of ours; what is, the service logs itself.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    try:
        asyncio.run(serve(Settings.read(settings, **flags)))
    except ServiceError as error:
        print(f"matting: {error}", file=sys.stderr)
        return 2
    return 0


def _schema() -> int:
    import json

    from service.manifest import schema

    print(json.dumps(schema(), indent=2))
    return 0
