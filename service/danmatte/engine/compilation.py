"""From a version's bytes to a compiled graph."""

import hashlib
import json

import msgspec
import openvino as ov

from danmatte.contract.manifest import Manifest
from danmatte.engine.cache import GraphCache
from danmatte.engine.streams import StreamPlan
from danmatte.errors import ModelError


def compile_graph(
    manifest: Manifest, files: tuple[bytes, bytes], plan: StreamPlan, cache: GraphCache | None
) -> list[ov.CompiledModel]:
    """The graph, compiled once for each lane of the plan, from the cache if it is there.

    `files` are graph.xml and graph.bin. Raises ModelError, and RuntimeError as OpenVINO does.
    """
    core, device, batch = ov.Core(), manifest.configuration.device, manifest.configuration.batch
    properties = plan.to_properties(manifest.configuration)
    # The cache's key is everything that a compiled graph depends on: the version, how it is run, library and machine.
    machine = [str(core.get_property(device, name)) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    version = [msgspec.to_builtins(part) for part in (manifest.files, manifest.input, manifest.output)]
    facts = [ov.__version__, device, machine, version, batch, properties]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    compiled: ov.CompiledModel | None = None
    if cache and (blob := cache.get(key)):
        try:
            compiled = core.import_model(blob, device, properties)
        except RuntimeError:  # the file is whole, and still not what this library takes
            cache.discard(key)
    if compiled is None:
        model = core.read_model(*files)
        _check_ports(model, manifest)
        if batch > 1:
            model.reshape([ov.Dimension(1, batch), *manifest.input.shape[1:]])
        compiled = core.compile_model(model, device, properties)
        if cache:
            cache.put(key, compiled.export_model().getvalue())
    if plan.lanes == 1:
        return [compiled]
    blob = compiled.export_model().getvalue()  # importing takes a quarter of the time of compiling
    return [compiled, *(core.import_model(blob, device, properties) for _ in range(1, plan.lanes))]


def _check_ports(model: ov.Model, manifest: Manifest) -> None:
    """Raises ModelError when the graph's input or output isn't the one that the manifest names."""
    for kind, ports, wanted in (
        ("input", model.inputs, manifest.input),
        ("output", model.outputs, manifest.output),
    ):
        expected = (wanted.name, list(wanted.shape), wanted.dtype)
        received = []
        for port in ports:
            shape = [side.get_length() if side.is_static else "?" for side in port.get_partial_shape()]
            received.append(("/".join(sorted(port.get_names())), shape, str(port.get_element_type().get_type_name())))
        if len(ports) != 1 or wanted.name not in ports[0].get_names() or received[0][1:] != expected[1:]:
            raise ModelError(
                f"{manifest.name}/{manifest.version}: graph.xml: {kind}: expected {expected}, received {received}"
            )
