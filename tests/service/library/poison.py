"""Decoders that crash or hang, and slow disks, for the processes that a test starts."""

import os
from pathlib import Path

import pytest

_CODE = """
import os, signal, threading
import av
opened = av.open
def open_or_fail(file, *words, **options):
    name = os.path.basename(str(getattr(file, "name", file)))  # the folder has the name of the test
    if "crash" in name:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "hang" in name:
        threading.Event().wait()
    return opened(file, *words, **options)
av.open = open_or_fail
"""


_SLOW_CODE = """
import io, threading
import danmatte.library.storage as storage
digest_file = storage.digest_file
class SlowFile(io.BytesIO):
    def read(self, size=-1):
        threading.Event().wait({pause_s})
        return super().read(1)
storage.digest_file = lambda file, report: digest_file(SlowFile(bytes(3)), report)
"""


def poison(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make new processes crash at a video with `crash` in its name, and hang at one with `hang`."""
    _customize(folder, _CODE, monkeypatch)


def slow(folder: Path, monkeypatch: pytest.MonkeyPatch, *, seconds: float) -> None:
    """Make new processes take this many seconds to read a video for its digest, in four pieces."""
    _customize(folder, _SLOW_CODE.format(pause_s=seconds / 4), monkeypatch)


def _customize(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code)
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(folder), known])))
