"""The fast tests' models and pictures, for real peers and hostile ones."""

from tests.service.conftest import jpeg, models, start

__all__ = ["jpeg", "models", "start"]
