"""The regions of a model that a track paints, selected by name and combined into one map of probabilities."""

from collections.abc import Sequence

import numpy as np

from danmatte.contract.manifest import Manifest
from danmatte.engine import Arrays, select_region
from danmatte.errors import InvalidParameterError
from danmatte.frame import Probabilities


class RegionUnion:
    """The union of some of a model's regions; without names, its default region: the person if it has one.

    Raises InvalidParameterError for a region that the model doesn't have, and for regions whose grids differ.
    """

    def __init__(self, manifest: Manifest, names: Sequence[str] = ()) -> None:
        self._manifest, self._thresholds = manifest, dict[str, float]()
        grids = []
        for name in names or (manifest.default_region,):
            _, port, channel = manifest.find_region(name)
            self._thresholds[name] = port.channels[channel].threshold
            grids.append(port.grid)
        self.grid = grids[0]
        if any(grid != self.grid for grid in grids):
            raise InvalidParameterError(f"region: expected regions with the same grid, received {', '.join(names)}")

    def select(self, outputs: Arrays) -> Probabilities:
        """Return the map, (h, w), of the graph's outputs, rescaled so that each region's own threshold becomes 0.5."""
        maps = [
            _move_threshold(select_region(self._manifest, outputs, name)[0], threshold)
            for name, threshold in self._thresholds.items()
        ]
        return maps[0] if len(maps) == 1 else np.maximum.reduce(maps)


def _move_threshold(values: Probabilities, threshold: float) -> Probabilities:
    """Return probabilities rescaled below and above the threshold so that it becomes 0.5."""
    if threshold == 0.5 or not 0 < threshold < 1:
        return values
    low, high = values * np.float32(0.5 / threshold), 1 - (1 - values) * np.float32(0.5 / (1 - threshold))
    moved: Probabilities = np.where(values < threshold, low, high)
    return moved
