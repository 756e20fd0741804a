"""Where a student starts: the source's layers with the channels that pruning left, and their refitted kernels."""

from collections.abc import Mapping, Sequence

import numpy as np

from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab.initialise import Kernel

FIRST, LAST = "MobilenetV2-Conv", "logits-semantic"
TOLERANCE = 1e-3  # of a kernel's values, between the source and what conversion makes of it


def carve(known: Mapping[str, Kernel], whole: Sequence[Kernel], pruned: Sequence[Kernel]) -> dict[str, Kernel]:
    """Kernels by layer's name after pruning.

    known: the source's, by layer's name; whole, pruned: those of the converted graph before and after, in its order.
    Conversion folds the pixels' normalisation into the first kernel, of which pruning only takes channels, and makes
    one channel of the last: a person's logit less the background's. Raises InputError where a kernel can't be found
    again.
    """
    if len(whole) != len(pruned) or len(whole) != len(known):
        raise InputError(
            f"expected the same convolutions in the source, converted and pruned; found {len(known)}, {len(whole)} and "
            f"{len(pruned)}"
        )
    kept = list_kept_channels(whole[0].kernel, pruned[0].kernel)
    first = Kernel(known[FIRST].kernel[..., kept], known[FIRST].bias[kept])
    carved = {FIRST: first, LAST: split_decision(pruned[-1])}
    for number in range(1, len(whole) - 1):
        carved[find_layer(known, whole[number])] = pruned[number]
    if carved.keys() != known.keys():
        missing = ", ".join(sorted(known.keys() - carved.keys()))
        raise InputError(f"these layers of the source aren't in the converted graph: {missing}")
    return carved


def list_kept_channels(whole: np.ndarray, pruned: np.ndarray) -> list[int]:
    """Which output channels of a kernel are left of it, by what they hold."""
    differences = np.abs(whole[..., :, None] - pruned[..., None, :]).max(axis=(0, 1, 2))
    if differences.min(axis=0).max() > TOLERANCE:
        raise InputError("the first kernel of the pruned graph isn't a part of the source's")
    return [int(channel) for channel in differences.argmin(axis=0)]


def find_layer(known: Mapping[str, Kernel], wanted: Kernel) -> str:
    """The name of the layer that has this kernel. Raises InputError for none."""
    for name, (kernel, _) in known.items():
        if kernel.shape == wanted.kernel.shape and np.abs(kernel - wanted.kernel).max() < TOLERANCE:
            return name
    raise InputError(f"the source has no layer with this kernel of shape {wanted.kernel.shape}")


def split_decision(decision: Kernel) -> Kernel:
    """Two logits, background and person, whose difference is the one logit."""
    half = decision.kernel / 2
    return Kernel(np.concatenate([-half, half], axis=-1), np.concatenate([-decision.bias / 2, decision.bias / 2]))
