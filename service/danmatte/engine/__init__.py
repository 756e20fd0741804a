"""Inference: one picture in, the person's probabilities out, many at once."""

from danmatte.engine.cache import Cache
from danmatte.engine.fake import FakeEngine
from danmatte.engine.openvino import OpenVinoEngine
from danmatte.engine.protocol import Engine, Inline, Served

__all__ = ["Cache", "Engine", "FakeEngine", "Inline", "OpenVinoEngine", "Served"]
