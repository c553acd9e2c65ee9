"""`cosmos lint RELEASE`: everything that an image should not be shipped with.

The image is read once, one layer at a time. Of each entry its fields are kept, and of a program the few names that its
loader reads; no content is kept. Then the rules on the whole tree are judged. Nothing is trusted: signatures are the
work of `cosmos verify`.

    image        every entry
    RELEASE.json   beside it: the architecture, the epoch, the counter, and the policy: powers and waivers
    universe.lock.toml   beside it: which part of a layer's name is the star's
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.limits import MAX_LOCK_BYTES, MAX_RELEASE_BYTES
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.names import StarName
from cosmos.model.powers import Power, Powers
from cosmos.model.release import RELEASE_FILE, Release
from cosmos.model.waiver import Waiver
from cosmos.pack.image_file import DIRECTORIES, ImageReader
from cosmos.reading import read_bounded
from cosmos.release.inspect import find_image, open_image
from cosmos.release.lint.elf import is_readable
from cosmos.release.lint.entry_rules import Allowed, found, identities, rights, secrets
from cosmos.release.lint.finding import Finding
from cosmos.release.lint.kernel_rules import kernel_version, kernels_without_modules
from cosmos.release.lint.link_rules import dangling_links
from cosmos.release.lint.program_rules import MACHINES, Programs, elf_findings, script_findings, soname_findings
from cosmos.release.lint.secret_text import patterns, sieved
from cosmos.release.lint.seen_tree import SeenTree
from cosmos.tables import Table
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

_STAR_ID: Final = re.compile(r"(.+?)-[0-9][A-Za-z0-9.+~:-]*")
_OF_ELF: Final = "elf-machine, elf-interpreter, elf-library, elf-symbol-version, soname-twice"


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What the image says of itself, and what its policy allows. "" and None: nobody says it.

    `stars` gives the star's name of a layer. `builder_folders` are the folders of the builder that no file may name.
    """

    arch: str = ""
    epoch: int | None = None
    counter: int = 0
    powers: Powers = field(default_factory=Powers)
    waivers: Mapping[str, Waiver] = field(default_factory=dict)
    stars: Mapping[str, StarName] = field(default_factory=dict)
    builder_folders: tuple[bytes, ...] = ()

    def gives(self, layer: str, power: Power) -> bool:
        """Whether the policy names the star of the layer for `power`."""
        match = _STAR_ID.fullmatch(layer)
        star = self.stars.get(layer) or (match[1] if match is not None and not self.stars else "")
        return star in self.powers.named.get(power, ())


@dataclass(frozen=True, kw_only=True, slots=True)
class Waived:
    """A finding that a waiver covers."""

    finding: Finding
    waiver: Waiver


@dataclass(frozen=True, kw_only=True, slots=True)
class LintReport:
    """The outcome. `unjudged` says what could not be judged, and why. `expired` and `idle` are rules with a waiver.

    An expired waiver no longer counts; an idle one covers no finding.
    """

    findings: tuple[Finding, ...]
    waived: tuple[Waived, ...]
    expired: tuple[str, ...]
    idle: tuple[str, ...]
    unjudged: tuple[str, ...]
    entries: int


def lint_release(path: Path, builder_folders: Iterable[bytes] = ()) -> LintReport:
    """Return the report on the image at `path`: the image's file, or a release's folder.

    Raises `Malformed` if there is no image, `Refused` for damaged data and `WorldFailed`.
    """
    image = find_image(path)
    reader = open_image(image)
    return lint_entries(reader.entries(), _owners(reader), _terms(image, tuple(builder_folders)))


def lint_entries(entries: Iterable[Entry], owners: Mapping[TreePath, str], terms: Terms) -> LintReport:
    """Return the report on a tree; `owners` names the layer of each path."""
    tree, programs = SeenTree(owners=owners), Programs()
    kernels: dict[TreePath, bytes] = {}
    digests: dict[TreePath, Digest | None] = {}
    wanted = sieved(patterns(terms.builder_folders))
    findings: list[Finding] = []
    for entry in entries:
        layer = tree.owner(entry.path)
        allowed = Allowed(setuid=terms.gives(layer, "setuid"), open_to_all=terms.gives(layer, "chown"))
        findings += found(entry, layer, rights(entry, terms.epoch, allowed))
        findings += found(entry, layer, secrets(entry, wanted))
        findings += found(entry, layer, identities(entry))
        tree.add(entry)
        if entry.kind == "file":
            programs.add(entry)
            version = kernel_version(entry.path, entry.content)
            if version is not None:
                kernels[entry.path] = version
            if programs.elves.get(entry.path) is not None and programs.elves[entry.path].soname:
                digests[entry.path] = entry.digest
    findings += dangling_links(tree)
    findings += elf_findings(programs, tree, terms.arch)
    findings += script_findings(programs, tree)
    findings += soname_findings(programs, tree, digests)
    findings += kernels_without_modules(tree, kernels)
    return _report(findings, terms, tuple(_unjudged(programs, terms)), len(tree.entries))


def _report(findings: Iterable[Finding], terms: Terms, unjudged: tuple[str, ...], entries: int) -> LintReport:
    counting = {rule: one for rule, one in terms.waivers.items() if not one.has_expired(terms.counter)}
    left: list[Finding] = []
    waived: list[Waived] = []
    for finding in sorted(findings):
        waiver = counting.get(finding.rule)
        if waiver is not None and waiver.covers(finding.path):
            waived.append(Waived(finding=finding, waiver=waiver))
        else:
            left.append(finding)
    used = {one.finding.rule for one in waived}
    return LintReport(
        findings=tuple(left),
        waived=tuple(waived),
        expired=tuple(rule for rule in terms.waivers if rule not in counting),
        idle=tuple(rule for rule in counting if rule not in used),
        unjudged=unjudged,
        entries=entries,
    )


def _unjudged(programs: Programs, terms: Terms) -> Iterator[str]:
    """Yield what was not judged, and why."""
    if not is_readable():
        yield f"programs and libraries ({_OF_ELF}): this cosmos has no pyelftools"
    if terms.epoch is None:
        yield f"times (stray-time): no {RELEASE_FILE} says the source-date-epoch"
    if terms.arch not in MACHINES:
        why = f"the machine {terms.arch} is not known" if terms.arch else f"no {RELEASE_FILE} says the machine"
        yield f"machines (elf-machine): {why}"
    for path, problem in programs.damaged.items():
        yield f"/{path.text}: {problem}"


def _owners(reader: ImageReader) -> dict[TreePath, str]:
    """Return the layer of each path. Folders belong to no star: several may share one."""
    return {row.line.path: layer.name for layer in reader.layers if layer.name != DIRECTORIES for row in layer.lines}


def _terms(image: Path, builder_folders: tuple[bytes, ...]) -> Terms:
    """Return the terms of the release that the image is a file of; for an image alone, the weakest."""
    file = image.parent / RELEASE_FILE
    if not file.is_file():
        return Terms(builder_folders=builder_folders)
    release = Release.parse(read_bounded(file, MAX_RELEASE_BYTES), str(file))
    if not any(subject.name == image.name for subject in release.subjects):
        return Terms(builder_folders=builder_folders)
    external = Table(release.external, str(file), "externalParameters")
    policy = external.take_table("policy")
    powers, waivers = (Powers(), {}) if policy is None else _policy(policy)
    epoch = release.internal.get("sourceDateEpoch")
    return Terms(
        arch=external.take("arch", str, ""),
        epoch=epoch if isinstance(epoch, int) else None,
        counter=external.count("counter") if "counter" in external else 0,
        powers=powers,
        waivers=waivers,
        stars=_stars(image.parent),
        builder_folders=builder_folders,
    )


def _policy(table: Table) -> tuple[Powers, dict[str, Waiver]]:
    """Return what a release's policy allows. Keys that a later Cosmos may add are passed over."""
    powers, waive = table.take_table("powers"), table.take_table("waive")
    given = Powers() if powers is None else Powers.read(powers)
    return given, {} if waive is None else Waiver.read_all(waive)


def _stars(folder: Path) -> dict[str, StarName]:
    """Return the star's name of each layer, by the lock beside the image."""
    file = folder / LOCK_FILE
    if not file.is_file():
        raise Malformed(str(folder), f"is a release without {LOCK_FILE}", hint=f"cosmos verify {folder}")
    return {star.id: star.name for star in Lock.parse(read_bounded(file, MAX_LOCK_BYTES), str(file)).stars}
