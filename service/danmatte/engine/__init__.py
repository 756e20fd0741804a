"""Inference: pictures in, the person's probabilities out. An engine's one call blocks; a batcher makes it awaitable."""

from danmatte.engine.batcher import Batcher
from danmatte.engine.cache import GraphCache
from danmatte.engine.fake import FakeEngine
from danmatte.engine.openvino import OpenVinoEngine
from danmatte.engine.protocol import Engine
from danmatte.engine.served import Served

__all__ = ["Batcher", "Engine", "FakeEngine", "GraphCache", "OpenVinoEngine", "Served"]
