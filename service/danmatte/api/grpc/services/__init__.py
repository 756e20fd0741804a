"""The gRPC services, one file each; a new one is one more import here."""

from danmatte.api.grpc.services import health, inference

__all__ = ["health", "inference"]
