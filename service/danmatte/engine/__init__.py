"""Inference: from a graph's inputs to its outputs. An engine's call blocks; a batcher makes it awaitable."""

from danmatte.engine.batcher import Batcher
from danmatte.engine.cache import GraphCache
from danmatte.engine.fake import FakeEngine
from danmatte.engine.openvino import OpenVinoEngine
from danmatte.engine.protocol import Arrays, Engine, arrange_pictures, select_region
from danmatte.engine.served import Served

__all__ = [
    "Arrays",
    "Batcher",
    "Engine",
    "FakeEngine",
    "GraphCache",
    "OpenVinoEngine",
    "Served",
    "arrange_pictures",
    "select_region",
]
