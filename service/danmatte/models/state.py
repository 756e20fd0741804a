"""The immutable state of one model, and its renewal after the disk has changed."""

import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from danmatte.contract.near_words import did_you_mean
from danmatte.engine import Served
from danmatte.errors import ModelError, PolicyError, UnknownLabelError, brief
from danmatte.models import policy as policies
from danmatte.models.policy import CANARY, DEFAULT, LATEST, RESERVED, STABLE, Policy
from danmatte.models.scan import NOTHING, FoundModel, Stamp

log = logging.getLogger(__name__)
OpenVersion: TypeAlias = Callable[[int], Served]
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Fault:
    """The reason why a version can't be served; valid while its files have this stamp."""

    stamp: Stamp
    reason: str


def generate_shares() -> Iterator[float]:
    """Yield numbers in [0, 1); any run of consecutive ones is spread evenly (Weyl's sequence).

    With random numbers, a canary of 5 % could get none or ten of a hundred requests.
    """
    return (number * _GOLDEN % 1 for number in itertools.count(1))


@dataclass(frozen=True)
class ModelState:
    """The known state of a model, and the versions that are open because its policy requires them.

    `found` are the files on disk, `stable` and `canary` the open versions, `faults` the versions that can't be served.
    `trouble` says why the policy on disk isn't followed. `shares` decides which requests go to the canary.
    """

    name: str
    found: FoundModel = NOTHING
    policy: Policy = DEFAULT
    trouble: str = ""
    stable: Served | None = None
    canary: Served | None = None
    faults: dict[int, Fault] = field(default_factory=dict)
    shares: Iterator[float] = field(default_factory=generate_shares)

    @property
    def open(self) -> list[Served]:
        """The stable version and the canary, if they exist."""
        return [served for served in (self.stable, self.canary) if served]

    def get_open(self, version: int) -> Served | None:
        """Return the version, if it is stable or the canary."""
        return next((served for served in self.open if served.manifest.version == version), None)

    def draw(self) -> Served | None:
        """Return the version for a request that selects none: the canary for its share of them, otherwise stable."""
        trial = self.policy.canary
        if self.canary and trial and next(self.shares) < trial.share:
            return self.canary
        return self.stable

    def resolve_label(self, label: str) -> int:
        """Return the version of a label; raises UnknownLabelError."""
        newest = max((version for version in self.found.versions if version not in self.faults), default=None)
        own = {STABLE: _number(self.stable), CANARY: _number(self.canary), LATEST: newest}
        labels = {**own, **self.policy.labels}
        version = labels.get(label)
        if version is None:
            known = [name for name in labels if labels[name]]
            raise UnknownLabelError(f"label: {self.name} has no {brief(label)}{did_you_mean(label, known)}")
        return version

    def labels_of(self, version: int) -> list[str]:
        """Return the labels of a version."""
        own = [label for label, labelled in self.policy.labels.items() if labelled == version]
        pairs = zip(RESERVED[:2], (self.stable, self.canary), strict=True)
        return [label for label, served in pairs if _number(served) == version] + own

    def list_older(self) -> list[int]:
        """Return the versions older than stable that aren't known to be bad, newest first."""
        stable = _number(self.stable) or 0
        return [version for version in self.found.versions if version < stable and version not in self.faults]

    @property
    def stable_is_oldest(self) -> bool:
        """Whether no version on disk, good or bad, is older than stable."""
        stable = _number(self.stable)
        return stable is not None and all(version >= stable for version in self.found.versions)

    def explain_unmet(self) -> str:
        """Return why the policy isn't met; empty if it is."""
        return self.trouble or (self.explain(self._unmet) if self._unmet else "")

    @property
    def lacks_version(self) -> bool:
        """Whether the policy can't be met because a version isn't on disk."""
        return not self.trouble and self._unmet is not None and self._unmet not in self.found.versions

    @property
    def _unmet(self) -> int | None:
        """The first version that the policy requires and that isn't served."""
        if not self.policy.enabled:
            return None
        wanted = [(self.policy.pin, self.stable), (self.policy.canary and self.policy.canary.version, self.canary)]
        unmet = [version for version, served in wanted if version and _number(served) != version]
        unmet += [version for version in self.policy.labels.values() if version not in self.found.versions]
        return next(iter(unmet), None)

    def explain(self, version: int) -> str:
        """Return why a version isn't served."""
        fault = self.faults.get(version)
        return f"{self.name}/{version}: {fault.reason if fault else 'there is no such version'}"

    def may_stay_open(self, version: int) -> bool:
        """Return whether a version that was opened on demand may stay open."""
        return self.policy.enabled and version in self.found.versions


def renew(old: ModelState, root: Path, found: FoundModel, open_version: OpenVersion) -> ModelState:
    """Return the model's state after reading its policy below `root`; opens the required versions, which is slow.

    Files that can't be read or served change only `trouble` and `faults`. A version whose files were removed is served
    until another one replaces it.
    """
    policy, trouble = _read_policy(old, root, found)
    if not policy.enabled:
        return replace(old, found=found, policy=policy, trouble=trouble, stable=None, canary=None, faults={})
    faults = {version: fault for version, fault in old.faults.items() if found.versions.get(version) == fault.stamp}

    def open_first(versions: list[int]) -> Served | None:
        """Return the first version that can be served; record those that fail in `faults`."""
        for version in versions:
            if served := old.get_open(version):
                return served
            if version in faults or version not in found.versions:
                continue
            try:
                return open_version(version)
            except ModelError as error:
                log.error("%s/%s is not served: %s", old.name, version, error)
                faults[version] = Fault(found.versions[version], str(error))
        return None

    # If the pinned version is bad, an older one may serve at the start. Later, the version in use is kept instead.
    candidates = [policy.pin] if policy.pin and old.stable else policy.order(found.versions)
    stable = open_first(candidates) or old.stable
    canary = open_first([policy.canary.version]) if policy.canary else None
    return replace(old, found=found, policy=policy, trouble=trouble, stable=stable, canary=canary, faults=faults)


def _read_policy(old: ModelState, root: Path, found: FoundModel) -> tuple[Policy, str]:
    """Return the policy to follow, and why it isn't the one on disk; empty if it is.

    If the file is broken, the policy in use is kept. At the start, the remembered policy is used. Without one, the
    model isn't served, because the policy might forbid any of its versions.
    """
    if not found.versions and old.open:  # the whole folder was removed
        return old.policy, f"{root / old.name}: expected versions, found none"
    try:
        return policies.read_policy(root, old.name), ""
    except PolicyError as error:
        trouble = str(error)
    if old.found is not NOTHING and old.policy is not policies.UNKNOWN:
        log.error("%s keeps its policy: %s", old.name, trouble)
        return old.policy, trouble
    remembered = policies.recall_policy(root, old.name)
    if remembered:
        log.error("%s is served by the last good policy: %s", old.name, trouble)
        return remembered, f"{trouble}; the last good policy is followed"
    log.error("%s is not served, because its policy can't be read: %s", old.name, trouble)
    return policies.UNKNOWN, f"{trouble}; the model is not served"


def _number(served: Served | None) -> int | None:
    return served.manifest.version if served else None
