"""Models as the inference protocols list them, over HTTP and gRPC."""

from typing import Any

from danmatte.contract.near_words import did_you_mean
from danmatte.errors import UnknownModelError, brief
from danmatte.inference.request import Requests, VersionSelector
from danmatte.models.listing import ModelListing


class Catalogue:
    """What there is to ask: models, versions, their states and statistics."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def find_model(self, name: str) -> ModelListing:
        """A model and its versions; raises UnknownModelError."""
        models = {model.name: model for model in self._requests.repository.list_models()}
        if name not in models:
            raise UnknownModelError(f"model: unknown {brief(name)}{did_you_mean(name, list(models))}")
        return models[name]

    def list_servable(self, name: str) -> list[str]:
        """The versions that can be asked, open ones and those that will be."""
        model = self.find_model(name)
        return [str(entry.version) for entry in model.versions if entry.state != "failed" and not model.unloaded]

    def list_index(self, *, ready: bool = False) -> list[dict[str, str]]:
        """Every version of every model, or the ready ones, as Triton lists a repository."""
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
        """Triton's statistics of one version, of all ready ones of a model, or of all models; raises as `find`."""
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
