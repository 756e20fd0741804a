"""`grpc.reflection.v1alpha.ServerReflection`: the reflection service under the name that older tools use."""

from danmatte.api.grpc.services.reflection import ReflectionService


class AlphaReflectionService(ReflectionService):
    """See the base class."""

    name = "grpc.reflection.v1alpha.ServerReflection"
