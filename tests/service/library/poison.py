"""Decoders that crash or hang at videos of certain names, in the processes that a test starts."""

import os
from pathlib import Path

import pytest

_CODE = """
import os, signal, threading
import av
opened = av.open
def open_or_fall(file, *words, **options):
    name = str(getattr(file, "name", file))
    if "crash" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in name:
        threading.Event().wait()
    return opened(file, *words, **options)
av.open = open_or_fall
"""


def poison(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on processes that are started crash at `crash` in a video's name, and hang at `hang`."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_CODE)
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), known])))
