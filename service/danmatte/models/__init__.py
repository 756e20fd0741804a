"""The models of a folder: which versions there are, which are open, and which answers whom."""

from danmatte.models.policy import Canary, Policy
from danmatte.models.repository import EngineFactory, Event, Repository

__all__ = ["Canary", "EngineFactory", "Event", "Policy", "Repository"]
