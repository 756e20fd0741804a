"""The toy network, and an S3 server on this machine."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from danmatte.contract.manifest import Manifest, parse
from danmatte.engine import FakeEngine, Served
from tests.service.toy import Toy, manifest


@pytest.fixture(scope="session")
def toy_manifest() -> Manifest:
    """Return the manifest of a version whose files never change."""
    return parse(json.dumps(manifest(Toy(rule="stretch"))).encode())


@pytest.fixture
def toy(toy_manifest: Manifest) -> Served:
    """Return the toy network, computed without a graph."""
    return Served(toy_manifest, FakeEngine(toy_manifest))


@pytest.fixture(scope="session")
def object_storage() -> Iterator[None]:
    """Run an S3 server on this machine, and set the environment to use it."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield
    server.stop()


@pytest.fixture
def bucket(object_storage: None) -> str:
    """Return the URL of an empty bucket."""
    import s3fs

    name = f"bucket-{uuid4().hex}"
    s3fs.S3FileSystem().mkdir(name)
    return f"s3://{name}"
