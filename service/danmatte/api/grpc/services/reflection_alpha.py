"""`grpc.reflection.v1alpha.ServerReflection`: the same under the name that older tools ask for."""

from danmatte.api.grpc.services.reflection import ReflectionService


class AlphaReflectionService(ReflectionService):
    """As the base class."""

    name = "grpc.reflection.v1alpha.ServerReflection"
