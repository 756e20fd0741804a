"""A version's stored answers (models/CONTRACT.md): small pictures, and the version's masks of them when published.

8-bit arithmetic differs between instruction sets, so a version's masks may differ on the machine that serves it. A
server runs these pictures when it loads the version, and measures the difference.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from danmatte.contract.framing import Framing
from danmatte.errors import ManifestError
from danmatte.frame import Pixels

ANSWERS_LIMIT_BYTES = 2**20
FEWEST_PLACES = 16  # values of a mask: smaller masks differ by chance
_SIDE = 256  # of a picture
_DEFLATED_BYTES = 2**18

Mask: TypeAlias = npt.NDArray[np.bool_]
# From the graph's input, (1, H, W, 3) uint8, to the person's probability, (h, w) float32.
Run: TypeAlias = Callable[[Pixels], npt.NDArray[np.float32]]
_Side = Annotated[int, Meta(ge=1, le=_SIDE)]
_GridSide = Annotated[int, Meta(ge=1, le=4096)]
_Deflated = Annotated[bytes, Meta(max_length=_DEFLATED_BYTES)]


class StoredAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """A picture, deflated RGB rows of ``size`` (height, width), and the graph's mask of it, deflated bits.

    The mask has ``places`` (rows, columns), as many as the graph's output: 1 where the probability is above one half.
    """

    size: tuple[_Side, _Side]
    picture: _Deflated
    places: tuple[_GridSide, _GridSide]
    mask: _Deflated

    @classmethod
    def of(cls, picture: Pixels, mask: Mask) -> "StoredAnswer":
        """Return the stored answer of ``mask``, (h, w) bool, to a picture, (H, W, 3) uint8 of at most 256 a side."""
        height, width = picture.shape[:2]
        rows, columns = mask.shape
        pixels, bits = np.ascontiguousarray(picture).tobytes(), np.packbits(mask).tobytes()
        return cls((height, width), zlib.compress(pixels, 9), (rows, columns), zlib.compress(bits, 9))

    def read_picture(self) -> Pixels:
        """Return the picture, (H, W, 3) uint8; raises ValueError."""
        height, width = self.size
        pixels: Pixels = np.frombuffer(_inflate(self.picture, height * width * 3), np.uint8).reshape(height, width, 3)
        return pixels

    def read_mask(self) -> Mask:
        """Return the mask, (h, w) bool; raises ValueError."""
        rows, columns = self.places
        bits = np.frombuffer(_inflate(self.mask, (rows * columns + 7) // 8), np.uint8)
        return np.unpackbits(bits, count=rows * columns).reshape(rows, columns).astype(np.bool_)


class StoredAnswers(Struct, frozen=True, forbid_unknown_fields=True):
    """The contents of ``answers.json``."""

    answers: Annotated[list[StoredAnswer], Meta(min_length=1, max_length=16)]

    @classmethod
    def make(cls, pictures: Iterable[Pixels], framing: Framing, run: Run) -> "StoredAnswers":
        """Return the graph's answers to these pictures, (H, W, 3) uint8 of at most 256 a side."""
        return cls([StoredAnswer.of(item, run(framing.fit_exactly(item)) > 0.5) for item in pictures])

    def encode(self) -> bytes:
        """Return the file's bytes; raises ValueError if they exceed the limit of readers."""
        data = json.dumps(msgspec.to_builtins(self), indent=1).encode() + b"\n"
        if len(data) > ANSWERS_LIMIT_BYTES:
            raise ValueError(f"stored answers: expected at most {ANSWERS_LIMIT_BYTES} bytes, received {len(data)}")
        return data

    def measure_disagreement(self, framing: Framing, run: Run) -> float:
        """Return how far the graph's masks are from the stored ones: 100 · (1 − mean IoU), from 0 to 100.

        Raises ValueError if the stored masks don't have the shape of the graph's output.
        """
        return 100 * (1 - float(np.mean(self._compare(framing, run))))

    def _compare(self, framing: Framing, run: Run) -> Sequence[float]:
        shares = []
        for answer in self.answers:
            stored, found = answer.read_mask(), run(framing.fit_exactly(answer.read_picture())) > 0.5
            if stored.shape != found.shape:
                raise ValueError(f"expected masks of {found.shape}, found {stored.shape}")
            either = int((stored | found).sum())
            shares.append(1.0 if either < FEWEST_PLACES else int((stored & found).sum()) / either)
        return shares


def parse_answers(data: bytes, file: str = "answers.json") -> StoredAnswers:
    """Return the stored answers in these bytes; raises ManifestError for malformed ones."""
    try:
        answers = msgspec.json.decode(data, type=StoredAnswers)
        for answer in answers.answers:
            answer.read_picture()
            answer.read_mask()
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError) as error:
        raise ManifestError(file, "$", "stored answers as models/CONTRACT.md says", str(error)) from error
    return answers


def _inflate(data: bytes, size: int) -> bytes:
    """Return exactly ``size`` bytes, or raise ValueError; at most one byte more is ever inflated."""
    inflater = zlib.decompressobj()
    try:
        found = inflater.decompress(data, size + 1)
    except zlib.error as error:
        raise ValueError(f"expected deflated bytes: {error}") from error
    if len(found) != size or not inflater.eof:
        raise ValueError(f"expected {size} bytes, deflated")
    return found
