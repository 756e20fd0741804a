"""The models of a folder: their versions, which of them are loaded, and which one serves a request."""

from danmatte.models.answer_check import AnswerCheck, EngineFactory
from danmatte.models.listing import ModelListing, VersionListing
from danmatte.models.policy import Canary, Policy, PolicyFolder
from danmatte.models.repository import Repository

__all__ = [
    "AnswerCheck",
    "Canary",
    "EngineFactory",
    "ModelListing",
    "Policy",
    "PolicyFolder",
    "Repository",
    "VersionListing",
]
