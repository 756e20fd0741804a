"""The only importer of NNCF in the workbench."""

import logging
from collections.abc import Iterable
from typing import Literal

import nncf
import numpy as np
import openvino as ov

from workbench.errors import InputError

nncf.set_log_level(logging.ERROR)


def quantize(
    model: ov.Model,
    pictures: Iterable[np.ndarray],
    *,
    preset: Literal["performance", "mixed"],
    fast_bias_correction: bool,
    frames: int,
) -> ov.Model:
    """Post-training INT8 quantization, calibrated on ``pictures`` as the graph takes them."""
    try:
        return nncf.quantize(
            model,
            nncf.Dataset(list(pictures)),
            preset=nncf.QuantizationPreset(preset),
            fast_bias_correction=fast_bias_correction,
            subset_size=frames,
        )
    except (nncf.ValidationError, nncf.ParameterNotSupportedError, RuntimeError) as error:
        raise InputError(f"NNCF can't quantize this graph: {error}") from error


def versions() -> dict[str, str]:
    """The library's version, by name."""
    return {"nncf": nncf.__version__}
