"""``workbench devices``: list OpenVINO's devices, and the CPU resources that may be used."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from danmatte.contract.command_line import JSON_HELP
from danmatte_workbench.commands.terminal import make_console

if TYPE_CHECKING:
    from rich.table import Table

    from danmatte_workbench.runtimes.devices import Device


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments: a device to check, and a file for JSON."""
    parser.add_argument(
        "device", nargs="?", help="only check whether this device, such as GPU, can be used (default: list all devices)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP.format(what="devices and hardware"))


def run(arguments: argparse.Namespace) -> int:
    """List the devices, or check the given one. Raises MachineError, with the available ones, if it can't be used."""
    from danmatte_workbench.hardware import describe_hardware
    from danmatte_workbench.report import facts
    from danmatte_workbench.runtimes import devices

    if arguments.device is not None:
        devices.check_device(arguments.device)
        print(f"{arguments.device} can be used")
        return 0
    found, machine = devices.list_devices(), describe_hardware()
    console = make_console()
    console.print(_make_table(found))
    quota = "none" if machine.quota_cores is None else f"{machine.quota_cores:g} cores"
    for line in (
        "AUTO chooses a device; HETERO:A,B splits a graph between devices; MULTI:A,B distributes frames.",
        f"threads: {machine.threads}, from {machine.threads_from}",
        f"CPUs: {machine.logical_cpus} on {machine.physical_cores} cores, sockets {machine.sockets}, "
        f"NUMA nodes {machine.numa_nodes}; allowed {machine.allowed_cpus}, cgroup quota {quota}",
        f"instruction sets: {' '.join(machine.instruction_sets) or 'unknown'}",
    ):
        console.print(line, highlight=False, soft_wrap=True)
    if arguments.json:
        known = [dataclasses.asdict(device) for device in found]
        facts.write({"devices": known, "hardware": dataclasses.asdict(machine)}, arguments.json)
    return 0


def _make_table(found: "tuple[Device, ...]") -> "Table":
    from rich.table import Table

    table = Table()
    for heading in ("device", "what it is", "capabilities"):
        table.add_column(heading)
    table.add_column("streams", justify="right")
    for device in found:
        table.add_row(device.name, device.full_name, ", ".join(device.capabilities), f"up to {device.streams}")
    return table
