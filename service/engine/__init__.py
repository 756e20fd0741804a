"""Inference: one picture in, the person's probabilities out, many at once."""

from service.engine.cache import Cache
from service.engine.fake import FakeEngine
from service.engine.openvino import OpenVinoEngine
from service.engine.protocol import Engine, Inline, Served

__all__ = ["Cache", "Engine", "FakeEngine", "Inline", "OpenVinoEngine", "Served"]
