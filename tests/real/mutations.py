"""Mutations of bytes that depend only on a number."""

import random
import struct
import zlib
from collections.abc import Callable, Sequence

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutate(number: int, corpus: Sequence[bytes]) -> bytes:
    """Return a file of the corpus with one to eight changes; half of the PNGs get correct checksums."""
    rng = random.Random(number)
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        rng.choice(MUTATIONS)(data, rng, corpus)
    if data.startswith(b"\x89PNG") and rng.random() < 0.5:
        repair_checksums(data)
    return bytes(data)


def _flip(data: bytearray, rng: random.Random, corpus: Sequence[bytes]) -> None:
    if data:
        data[_pick_place(data, rng)] ^= 1 << rng.randrange(8)


def _write_edge(data: bytearray, rng: random.Random, corpus: Sequence[bytes]) -> None:
    value, order = rng.choice(EDGES), rng.choice("<>")
    size = rng.choice("BHI")
    word = struct.pack(order + size, value & ((1 << 8 * struct.calcsize(size)) - 1))
    start = _pick_place(data, rng)
    data[start : start + len(word)] = word


def _cut(data: bytearray, rng: random.Random, corpus: Sequence[bytes]) -> None:
    del data[_pick_place(data, rng) :]


def _drop(data: bytearray, rng: random.Random, corpus: Sequence[bytes]) -> None:
    start = _pick_place(data, rng)
    del data[start : start + rng.randint(1, 64)]


def _repeat(data: bytearray, rng: random.Random, corpus: Sequence[bytes]) -> None:
    start = _pick_place(data, rng)
    data[start:start] = data[start : start + rng.randint(1, 256)] * rng.randint(1, 8)


def _splice(data: bytearray, rng: random.Random, corpus: Sequence[bytes]) -> None:
    other = rng.choice(corpus)
    begin = rng.randrange(len(other))
    start = _pick_place(data, rng)
    data[start:start] = other[begin : begin + rng.randint(1, 512)]


def _write_noise(data: bytearray, rng: random.Random, corpus: Sequence[bytes]) -> None:
    start = _pick_place(data, rng)
    data[start : start + 16] = rng.randbytes(rng.randint(0, 32))


def _pick_place(data: bytearray, rng: random.Random) -> int:
    """Return a random position, often among the first bytes, which are headers."""
    limit = min(len(data), 128) if rng.random() < 0.5 else len(data)
    return rng.randrange(limit) if limit else 0


def repair_checksums(data: bytearray) -> None:
    """Correct the checksum of every PNG chunk that can still be found."""
    start = 8
    while start + 12 <= len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4])
        if end > len(data):
            return
        data[end - 4 : end] = struct.pack(">I", zlib.crc32(data[start + 4 : end - 4]))
        start = end


MUTATIONS: tuple[Callable[[bytearray, random.Random, Sequence[bytes]], None], ...] = (
    _flip,
    _write_edge,
    _cut,
    _drop,
    _repeat,
    _splice,
    _write_noise,
)
