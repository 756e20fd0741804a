"""One model's versions at one moment, and how the next moment is made from it."""

import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from danmatte.engine import Served
from danmatte.errors import ModelError, PolicyError, UnknownLabelError, brief, did_you_mean
from danmatte.models import policy as policies
from danmatte.models.policy import CANARY, DEFAULT, LATEST, RESERVED, STABLE, Policy
from danmatte.models.scan import EMPTY, Found, Stamp

log = logging.getLogger(__name__)
OpenVersion: TypeAlias = Callable[[int], Served]
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Fault:
    """Why a version can't be served, as long as its files are those of the stamp."""

    stamp: Stamp
    reason: str


def draws() -> Iterator[float]:
    """Numbers in [0, 1) spread as evenly as can be, whatever part is looked at (Weyl's sequence)."""
    return (number * _GOLDEN % 1 for number in itertools.count(1))


@dataclass(frozen=True)
class Shelf:
    """What is known of a model, and what of it is open because the policy says so.

    `trouble` says why the policy on disk isn't followed.
    """

    name: str
    found: Found = EMPTY
    policy: Policy = DEFAULT
    trouble: str = ""
    stable: Served | None = None
    canary: Served | None = None
    faults: dict[int, Fault] = field(default_factory=dict)
    draws: Iterator[float] = field(default_factory=draws)

    @property
    def open(self) -> list[Served]:
        """Stable and canary, as far as there are any."""
        return [served for served in (self.stable, self.canary) if served]

    def has(self, version: int) -> Served | None:
        """The version, if it is stable or the canary."""
        return next((served for served in self.open if served.manifest.version == version), None)

    def drawn(self) -> Served | None:
        """Who answers a request that names no version: the canary its share of them, stable the others."""
        trial = self.policy.canary
        if self.canary and trial and next(self.draws) < trial.share:
            return self.canary
        return self.stable

    def labelled(self, label: str) -> int:
        """The version of a label; raises UnknownLabelError."""
        newest = max((version for version in self.found.versions if version not in self.faults), default=None)
        labels = {STABLE: _version(self.stable), CANARY: _version(self.canary), LATEST: newest, **self.policy.labels}
        version = labels.get(label)
        if version is None:
            known = [name for name in labels if labels[name]]
            raise UnknownLabelError(f"label: {self.name} has no {brief(label)}{did_you_mean(label, known)}")
        return version

    def below(self) -> list[int]:
        """The versions older than stable that may be good, newest first."""
        stable = _version(self.stable) or 0
        return [version for version in self.found.versions if version < stable and version not in self.faults]

    @property
    def lowest(self) -> bool:
        """Whether no version on the disk is older than stable, good or bad."""
        stable = _version(self.stable)
        return stable is not None and all(version >= stable for version in self.found.versions)

    def labels(self, version: int) -> list[str]:
        """The labels of a version."""
        own = [label for label, labelled in self.policy.labels.items() if labelled == version]
        pairs = zip(RESERVED[:2], (self.stable, self.canary), strict=True)
        return [label for label, served in pairs if _version(served) == version] + own

    def unmet(self) -> str:
        """Why the policy isn't what is served, or nothing."""
        version = self._in_vain
        return self.trouble or (self.reason(version) if version else "")

    @property
    def lacks(self) -> bool:
        """Whether what is `unmet` is a version that isn't on the disk."""
        version = self._in_vain
        return not self.trouble and version is not None and version not in self.found.versions

    @property
    def _in_vain(self) -> int | None:
        """The first version that the policy asks for, and that isn't served."""
        if not self.policy.enabled:
            return None
        wanted = [(self.policy.pin, self.stable), (self.policy.canary and self.policy.canary.version, self.canary)]
        vain = [version for version, served in wanted if version and _version(served) != version]
        vain += [version for version in self.policy.labels.values() if version not in self.found.versions]
        return next(iter(vain), None)

    def reason(self, version: int) -> str:
        """Why a version isn't served."""
        fault = self.faults.get(version)
        return f"{self.name}/{version}: {fault.reason if fault else 'there is no such version'}"

    def keeps(self, version: int) -> bool:
        """Whether a version opened on demand may stay open."""
        return self.policy.enabled and version in self.found.versions


def renewed(old: Shelf, root: Path, found: Found, open_version: OpenVersion) -> Shelf:
    """The shelf as the disk and its policy say now; opens what that takes, which is slow.

    What can't be read or served changes nothing but the reasons given. A version that has gone from the
    disk is put aside as soon as another takes over, and not before.
    """
    policy, trouble = _read(root, old, found)
    if not policy.enabled:
        return replace(old, found=found, policy=policy, trouble=trouble, stable=None, canary=None, faults={})
    opening = _Opening(old, found, open_version)
    stable = opening.first(_candidates(old, policy, found)) or old.stable
    canary = opening.first([policy.canary.version]) if policy.canary else None
    return replace(
        old, found=found, policy=policy, trouble=trouble, stable=stable, canary=canary, faults=opening.faults
    )


class _Opening:
    """Versions taken from the old shelf, or opened; what fails is remembered."""

    def __init__(self, old: Shelf, found: Found, open_version: OpenVersion) -> None:
        self._old, self._found, self._open = old, found, open_version
        self.faults = {
            version: fault for version, fault in old.faults.items() if found.versions.get(version) == fault.stamp
        }

    def first(self, versions: list[int]) -> Served | None:
        """The first that can be served."""
        return next((served for version in versions if (served := self._one(version))), None)

    def _one(self, version: int) -> Served | None:
        if served := self._old.has(version):
            return served
        if version in self.faults or version not in self._found.versions:
            return None
        try:
            return self._open(version)
        except ModelError as error:
            log.error("%s/%s is not served: %s", self._old.name, version, error)
            self.faults[version] = Fault(self._found.versions[version], str(error))
            return None


def _candidates(old: Shelf, policy: Policy, found: Found) -> list[int]:
    """At first the pinned version or the next one below; later nothing but the pinned one takes its place."""
    if policy.pin and old.stable:
        return [policy.pin]
    return policy.order(found.versions)


def _read(root: Path, old: Shelf, found: Found) -> tuple[Policy, str]:
    if not found.versions and old.open:  # the whole folder has gone
        return old.policy, f"{root / old.name}: expected versions, found none"
    try:
        return policies.read(root, old.name), ""
    except PolicyError as error:
        log.error("%s keeps its policy: %s", old.name, error)
        return old.policy, str(error)


def _version(served: Served | None) -> int | None:
    return served.manifest.version if served else None
