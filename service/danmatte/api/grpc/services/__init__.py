"""The gRPC services, one module each; import new ones here."""

from danmatte.api.grpc.services import health, inference, prediction, reflection, reflection_alpha

__all__ = ["health", "inference", "prediction", "reflection", "reflection_alpha"]
