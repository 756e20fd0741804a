"""The models of a folder: which versions there are, which are open, and which answers whom."""

from service.repository.policy import Canary, Policy
from service.repository.repository import EngineFactory, Event, Repository

__all__ = ["Canary", "EngineFactory", "Event", "Policy", "Repository"]
