"""What can be done to a graph, one file a step."""

from danmatte_workbench.steps.base import Step, StepContext, make_step
from danmatte_workbench.steps.convert import Convert
from danmatte_workbench.steps.cut import Cut
from danmatte_workbench.steps.distil import Distil
from danmatte_workbench.steps.fuse import Fuse
from danmatte_workbench.steps.head import Head
from danmatte_workbench.steps.preprocess import Preprocess
from danmatte_workbench.steps.prune import Prune
from danmatte_workbench.steps.quantize import Quantize
from danmatte_workbench.steps.reshape import Reshape
from danmatte_workbench.steps.shrink import Shrink
from danmatte_workbench.steps.stride import Stride

__all__ = [
    "Convert",
    "Cut",
    "Distil",
    "Fuse",
    "Head",
    "Preprocess",
    "Prune",
    "Quantize",
    "Reshape",
    "Shrink",
    "Step",
    "StepContext",
    "Stride",
    "make_step",
]
