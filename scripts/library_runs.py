"""Starting `danmatte library` for benchmarks, and reading its results."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any


def start(options: argparse.Namespace, *words: object, cpus: frozenset[int] = frozenset()) -> subprocess.Popen[str]:
    """Start `danmatte library` with results as JSON lines on standard output; ``cpus`` pins it to these cores."""
    command = [sys.executable, "-m", "danmatte", "library", *words, "--models", options.models, "--json", "-"]

    def pin() -> None:
        if cpus:
            os.sched_setaffinity(0, cpus)

    return subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True, preexec_fn=pin)


def read_lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """Yield a process' results as they arrive."""
    assert process.stdout is not None
    return (json.loads(line) for line in process.stdout)
