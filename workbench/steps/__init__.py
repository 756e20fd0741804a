"""What can be done to a graph, one file a step."""

from workbench.steps.base import Kitchen, Step, build, refine
from workbench.steps.convert import Convert
from workbench.steps.cut import Cut
from workbench.steps.distil import Distil
from workbench.steps.fuse import Fuse
from workbench.steps.head import Head
from workbench.steps.preprocess import Preprocess
from workbench.steps.prune import Prune
from workbench.steps.quantize import Quantize
from workbench.steps.reshape import Reshape
from workbench.steps.shrink import Shrink
from workbench.steps.stride import Stride

__all__ = [
    "Convert",
    "Cut",
    "Distil",
    "Fuse",
    "Head",
    "Kitchen",
    "Preprocess",
    "Prune",
    "Quantize",
    "Reshape",
    "Shrink",
    "Step",
    "Stride",
    "build",
    "refine",
]
