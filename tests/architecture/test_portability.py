"""The repository contains nothing that is specific to one machine, and no large files."""

import re

from tests.architecture.sources import ROOT, tracked

PLACES = re.compile(rb"(?<![\w.])/(?:work|home|root|Users|opt)/\w|[A-Z]:\\\\Users")
REGISTRIES = re.compile(rb"pypi\.(?:org|io)|python[h]osted|npmjs\.|index[-]url|find[-]links", re.IGNORECASE)
PIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.!+_-]+")
BINARY = {".jpg", ".png", ".webp", ".pb", ".bin", ".tflite", ".mp4", ".webm", ".mattes"}
MOST_BYTES = 12 * 2**20


def test_files_name_no_machine_path_and_no_package_registry() -> None:
    found = []
    for path in tracked():
        if path.suffix in BINARY or path.name == "LICENSE":
            continue
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if PLACES.search(line) or REGISTRIES.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert not found


def test_constraints_are_names_and_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [pin for pin in pins if not PIN.fullmatch(pin)] == []


def test_no_file_exceeds_the_size_limit() -> None:
    big = [str(path.relative_to(ROOT)) for path in tracked() if path.stat().st_size > MOST_BYTES]
    assert not big
