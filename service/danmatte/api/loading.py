"""Triton's load and unload of models, over any protocol."""

from collections.abc import Iterable

import msgspec

from danmatte.errors import BodyError, brief
from danmatte.models import Repository


async def load_model(repository: Repository, name: str, parameters: Iterable[str] = ()) -> None:
    """Serves a model again, or looks at its folder again, also at what failed before.

    Raises BodyError for a configuration or files, which would be ignored, and as `Repository.change_policy`.
    """
    for parameter in parameters:
        raise BodyError(f"parameters: {brief(parameter)} isn't served: a model is loaded as its folder says")
    await repository.reload(name)
    await repository.change_policy(name, lambda policy: msgspec.structs.replace(policy, enabled=True))


async def unload_model(repository: Repository, name: str) -> None:
    """Has a model answer nobody, also after a restart; raises as `Repository.change_policy`."""
    await repository.change_policy(name, lambda policy: msgspec.structs.replace(policy, enabled=False))
