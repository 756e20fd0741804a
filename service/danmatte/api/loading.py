"""Loading and unloading of models, as in Triton, for all protocols."""

from collections.abc import Iterable

import msgspec

from danmatte.errors import BodyError, brief
from danmatte.models import Repository


async def load_model(repository: Repository, name: str, parameters: Iterable[str] = ()) -> None:
    """Load a model, or reload its folder, including versions that failed before.

    Raises BodyError for any parameter (Triton's configuration and files), because it would be ignored, and the same
    errors as `Repository.change_policy`.
    """
    for parameter in parameters:
        raise BodyError(f"parameters: {brief(parameter)} isn't supported: a model is loaded as its folder says")
    await repository.reload(name)
    await repository.change_policy(name, lambda policy: msgspec.structs.replace(policy, enabled=True))


async def unload_model(repository: Repository, name: str) -> None:
    """Unload a model; it stays unloaded after a restart. Raises the same errors as `Repository.change_policy`."""
    await repository.change_policy(name, lambda policy: msgspec.structs.replace(policy, enabled=False))
