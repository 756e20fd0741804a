"""Listings of models for the inference protocols, over HTTP and gRPC."""

from typing import Any

from danmatte.contract.near_words import did_you_mean
from danmatte.errors import UnknownModelError, brief
from danmatte.inference.request import Requests, VersionSelector
from danmatte.models.listing import ModelListing


class Catalogue:
    """The models and versions, with their states and statistics."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def find_model(self, name: str) -> ModelListing:
        """Return a model with its versions; raises UnknownModelError."""
        models = {model.name: model for model in self._requests.repository.list_models()}
        if name not in models:
            raise UnknownModelError(f"model: unknown {brief(name)}{did_you_mean(name, list(models))}")
        return models[name]

    def list_servable(self, name: str) -> list[str]:
        """Return the versions that can serve requests: open ones, and those that are opened on demand."""
        model = self.find_model(name)
        return [str(entry.version) for entry in model.versions if entry.state != "failed" and not model.unloaded]

    def list_index(self, *, ready: bool = False) -> list[dict[str, str]]:
        """Return every version of every model, or only the ready ones, in the format of Triton's repository index."""
        return [
            {
                "name": model.name,
                "version": str(version.version),
                "state": "READY" if version.state == "ready" else "UNAVAILABLE",
                "reason": version.reason,
            }
            for model in self._requests.repository.list_models()
            for version in model.versions
            if version.state == "ready" or not ready
        ]

    async def describe_statistics(self, selector: VersionSelector) -> dict[str, Any]:
        """Return Triton's statistics of one version, of all ready ones of a model, or of all models.

        Raises the same errors as `Requests.find`.
        """
        if selector.model:
            await self._requests.find(selector)
        wanted = [
            (model.name, entry.version)
            for model in self._requests.repository.list_models()
            for entry in model.versions
            if entry.state == "ready"
            and selector.model in ("", model.name)
            and selector.version in (None, entry.version)
        ]
        return {"model_stats": [self._requests.statistics.describe(*key) for key in wanted]}
