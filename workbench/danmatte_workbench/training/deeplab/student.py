"""Initial weights of a student: the source's layers with the channels left by pruning, and their refitted kernels."""

from collections.abc import Mapping, Sequence

import numpy as np

from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab.initialise import Kernel

FIRST, LAST = "MobilenetV2-Conv", "logits-semantic"
TOLERANCE = 1e-3  # maximum difference of a kernel's values between the source and the converted graph


def carve(known: Mapping[str, Kernel], whole: Sequence[Kernel], pruned: Sequence[Kernel]) -> dict[str, Kernel]:
    """Return the kernels by layer name after pruning.

    known: the source's kernels by layer name. whole, pruned: those of the converted graph before and after pruning, in
    the graph's order. Conversion folds the normalisation of pixels into the first kernel, from which pruning only
    removes channels. It also reduces the last layer to one channel, the person's logit minus the background's. Raises
    InputError if a kernel can't be matched with a layer.
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
    """Return the numbers of the output channels of ``whole`` that ``pruned`` still has, found by their values."""
    differences = np.abs(whole[..., :, None] - pruned[..., None, :]).max(axis=(0, 1, 2))
    if differences.min(axis=0).max() > TOLERANCE:
        raise InputError("the first kernel of the pruned graph isn't a part of the source's")
    return [int(channel) for channel in differences.argmin(axis=0)]


def find_layer(known: Mapping[str, Kernel], wanted: Kernel) -> str:
    """Return the name of the layer with this kernel. Raises InputError if there is none."""
    for name, (kernel, _) in known.items():
        if kernel.shape == wanted.kernel.shape and np.abs(kernel - wanted.kernel).max() < TOLERANCE:
            return name
    raise InputError(f"the source has no layer with this kernel of shape {wanted.kernel.shape}")


def split_decision(decision: Kernel) -> Kernel:
    """Return a kernel for two logits, background and person, whose difference is the logit of ``decision``."""
    half = decision.kernel / 2
    return Kernel(np.concatenate([-half, half], axis=-1), np.concatenate([-decision.bias / 2, decision.bias / 2]))
