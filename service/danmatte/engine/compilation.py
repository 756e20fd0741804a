"""From a version's bytes to a compiled graph."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache

import msgspec
import openvino as ov

from danmatte.contract.manifest import Manifest
from danmatte.contract.ports import Input, Output
from danmatte.contract.shapes import SideRange, format_shape, has_ranges
from danmatte.engine.cache import GraphCache
from danmatte.engine.streams import StreamPlan
from danmatte.errors import ModelError


@cache
def open_core() -> ov.Core:
    """Return OpenVINO's core, a single one for all graphs of the process, which is never freed.

    Its CPU plugin gives the thread that loads it a signal stack, and frees that stack when it is unloaded. If there are
    two cores and the first is freed first, the thread keeps a freed stack, and the next signal kills the process.
    """
    return ov.Core()


def compile_graph(
    manifest: Manifest, files: tuple[bytes, bytes], plan: StreamPlan, cache: GraphCache | None
) -> list[ov.CompiledModel]:
    """Return the graph, compiled once for each lane of the plan, from the cache if possible.

    `files` are graph.xml and graph.bin. Raises ModelError, and RuntimeError as OpenVINO does.
    """
    core, device, batch = open_core(), manifest.configuration.device, manifest.configuration.batch
    properties = plan.to_properties(manifest.configuration)
    # The cache's key has everything that a compiled graph depends on: version, configuration, library and machine.
    machine = [str(core.get_property(device, name)) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    version = [msgspec.to_builtins(part) for part in (manifest.files, manifest.inputs, manifest.outputs)]
    facts = [ov.__version__, device, machine, version, batch, properties]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    compiled: ov.CompiledModel | None = None
    if cache and (blob := cache.get(key)):
        try:
            compiled = core.import_model(blob, device, properties)
        except RuntimeError:  # the file isn't damaged, but this library can't import it
            cache.discard(key)
    if compiled is None:
        model = core.read_model(*files)
        _check_ports(model, manifest)
        if batch > 1 or any(has_ranges(port.shape) for port in manifest.inputs):
            feeds = find_ports(model.inputs, manifest.inputs)
            model.reshape(
                {feed: _describe_sides(port, batch) for feed, port in zip(feeds, manifest.inputs, strict=True)}
            )
        compiled = core.compile_model(model, device, properties)
        if cache:
            cache.put(key, compiled.export_model().getvalue())
    if plan.lanes == 1:
        return [compiled]
    blob = compiled.export_model().getvalue()  # importing takes a quarter of the time of compiling
    return [compiled, *(core.import_model(blob, device, properties) for _ in range(1, plan.lanes))]


def find_ports(ports: Sequence[ov.Output], wanted: Sequence[Input | Output]) -> list[int]:
    """Return the graph's indices of the manifest's inputs or outputs, in the manifest's order."""
    return [next(number for number, port in enumerate(ports) if one.name in port.get_names()) for one in wanted]


def _describe_sides(port: Input, batch: int) -> ov.PartialShape:
    sides = [
        ov.Dimension(side.min, side.max) if isinstance(side, SideRange) else ov.Dimension(side) for side in port.shape
    ]
    return ov.PartialShape([ov.Dimension(1, batch), *sides[1:]] if batch > 1 else sides)


def _check_ports(model: ov.Model, manifest: Manifest) -> None:
    """Raise ModelError if the graph's inputs or outputs don't match those of the manifest."""
    for kind, ports, wanted in (("input", model.inputs, manifest.inputs), ("output", model.outputs, manifest.outputs)):
        known = {name: port for port in ports for name in port.get_names()}
        fits = len(ports) == len(wanted) and all(
            one.name in known and _is_of_shape(known[one.name], one) for one in wanted
        )
        if not fits:
            expected = [(one.name, format_shape(one.shape), one.dtype) for one in wanted]
            received = [
                (
                    "/".join(sorted(port.get_names())),
                    str(port.get_partial_shape()),
                    port.get_element_type().get_type_name(),
                )
                for port in ports
            ]
            raise ModelError(
                f"{manifest.name}/{manifest.version}: graph.xml: {kind}: expected {expected}, received {received}"
            )


def _is_of_shape(port: ov.Output, wanted: Input | Output) -> bool:
    """Return whether the graph's port has the manifest's type, number of dimensions and fixed sides.

    Dynamic sides of the graph are checked later, when it is run.
    """
    shape = port.get_partial_shape()
    if port.get_element_type().get_type_name() != wanted.dtype:
        return False
    if shape.rank.is_dynamic:
        return True
    return len(shape) == len(wanted.shape) and all(
        side.is_dynamic or (not isinstance(one, SideRange) and side.get_length() == one)
        for side, one in zip(shape, wanted.shape, strict=True)
    )
