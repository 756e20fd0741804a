"""The gRPC services, one file each; a new one is one more import here."""

from danmatte.api.grpc.services import health, inference, prediction, reflection, reflection_alpha

__all__ = ["health", "inference", "prediction", "reflection", "reflection_alpha"]
