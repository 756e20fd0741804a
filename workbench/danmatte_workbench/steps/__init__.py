"""Steps: changes to a graph, one file each. A new one needs its file, a line here, and one in the conformance suite."""

from danmatte_workbench.steps.base import Step as Step
from danmatte_workbench.steps.base import StepContext as StepContext
from danmatte_workbench.steps.base import make_step as make_step
from danmatte_workbench.steps.convert import Convert as Convert
from danmatte_workbench.steps.cut import Cut as Cut
from danmatte_workbench.steps.distil import Distil as Distil
from danmatte_workbench.steps.fuse import Fuse as Fuse
from danmatte_workbench.steps.head import Head as Head
from danmatte_workbench.steps.pick import Pick as Pick
from danmatte_workbench.steps.preprocess import Preprocess as Preprocess
from danmatte_workbench.steps.prune import Prune as Prune
from danmatte_workbench.steps.quantize import Quantize as Quantize
from danmatte_workbench.steps.recode import Recode as Recode
from danmatte_workbench.steps.refine import Refine as Refine
from danmatte_workbench.steps.reshape import Reshape as Reshape
from danmatte_workbench.steps.shrink import Shrink as Shrink
from danmatte_workbench.steps.soften import Soften as Soften
from danmatte_workbench.steps.stride import Stride as Stride
from danmatte_workbench.steps.student import TakeStudent as TakeStudent
