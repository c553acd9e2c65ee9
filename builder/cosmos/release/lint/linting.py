"""`cosmos lint RELEASE`: everything that an image should not be shipped with.

The image is read once, one layer at a time. Of each entry its fields are kept, and of a program the few names that its
loader reads; no content is kept. Then the rules on the whole tree are judged. Nothing is trusted: signatures are the
work of `cosmos verify`.

    image        every entry
    RELEASE.json   beside it: the architecture, the epoch, the counter, and the policy: powers and waivers
    universe.lock.toml   beside it: which part of a layer's name is the star's
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import Final

from cosmos.digest import Digest
from cosmos.errors import Malformed, WorldFailed, quoted
from cosmos.limits import MAX_LOCK_BYTES, MAX_RELEASE_BYTES
from cosmos.model.lock import LOCK_FILE, Lock
from cosmos.model.names import StarName
from cosmos.model.powers import Power, Powers
from cosmos.model.release import RELEASE_FILE, Release
from cosmos.model.waiver import Waiver
from cosmos.pack.image_file import DIRECTORIES, ImageReader, PackedLayer
from cosmos.reading import read_bounded
from cosmos.records import dataclass
from cosmos.release.inspect import find_image, open_image
from cosmos.release.lint.elf import is_readable
from cosmos.release.lint.entry_rules import Allowed
from cosmos.release.lint.finding import Finding
from cosmos.release.lint.kernel_rules import kernels_without_modules
from cosmos.release.lint.layer_look import LayerLook, Wanted, look_key
from cosmos.release.lint.link_rules import dangling_links
from cosmos.release.lint.program_rules import MACHINES, Programs, elf_findings, script_findings, soname_findings
from cosmos.release.lint.seen_tree import SeenTree
from cosmos.store.interface import Store
from cosmos.store.sealed import NotSealed
from cosmos.tables import Table
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine
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

    def allowed(self, layer: str) -> Allowed:
        """Return what the entries of the layer may be."""
        return Allowed(setuid=self.gives(layer, "setuid"), open_to_all=self.gives(layer, "chown"))


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
    return _lint_entries(reader.entries(), SeenTree(owners=_owners(reader)), _terms(image, tuple(builder_folders)))


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltImage:
    """An image that this process has just packed: the lines of its tree, and the layer of each path but of folders.

    `layers` gives the digest of each layer's frame, and a function that opens the layer again, by the layer's name.
    `stars` gives the star of a layer.
    """

    lines: Mapping[TreePath, ManifestLine]
    owners: Mapping[TreePath, str]
    layers: Mapping[str, tuple[Digest, Callable[[], PackedLayer]]]
    stars: Mapping[str, StarName]


def lint_built(built: BuiltImage, release: Release, folders: Iterable[bytes], memory: LintMemory) -> LintReport:
    """Return what `lint_release` would say of the image: only the layers are opened that `memory` does not know.

    Raises `Refused` for damaged data and `WorldFailed`.
    """
    terms = _terms_of(release, RELEASE_FILE, built.stars, tuple(folders))
    wanted, look = Wanted(terms.builder_folders), LayerLook()
    for name, (digest, opened) in built.layers.items():
        look.join(memory.look(name, digest, opened, terms, wanted))
    memory.settle()
    return _judged(look, SeenTree(owners=built.owners, entries=built.lines), terms)


class LintMemory:
    """What the rules saw in layers, in the sealed `store`. `program` tells this program's rules from any other's.

    `warn` gets a sentence about each record that this home did not write.
    """

    def __init__(self, store: Store, program: str, warn: Callable[[str], None]) -> None:
        self._store, self._program, self._warn = store, program, warn

    def look(
        self, name: str, frame: Digest, opened: Callable[[], PackedLayer], terms: Terms, wanted: Wanted
    ) -> LayerLook:
        """Return what the rules see in the layer called `name`: as it was kept, or from its bytes. Raises `Refused`."""
        star = "" if name == DIRECTORIES else name
        allowed = terms.allowed(star)
        key = look_key(self._program, frame, star, terms.epoch, allowed, wanted)
        try:
            kept = self._store.get_result(key)
        except NotSealed as forged:
            self._warn(f"{name}: {forged}; it is not believed, and the layer is linted again")
            kept = None
        if kept is not None:
            return LayerLook.read(json.loads(kept))
        look = LayerLook()
        look.add(opened().entries(), star, terms.epoch, allowed, wanted)
        with suppress(WorldFailed):  # as in `settle`
            self._store.put_result_soon(key, look.kept())
        return look

    def settle(self) -> None:
        """Make durable what was seen, if the store can be written: the report is the same without."""
        with suppress(WorldFailed):
            self._store.settle()


@dataclass(frozen=True, kw_only=True, slots=True)
class LookAhead:
    """How a builder's workers look at a layer while they have its files, so that `LintMemory` finds the look kept."""

    program: str
    builder_folders: tuple[bytes, ...]

    def of(self, terms: Terms) -> Callable[[str, Digest, Iterable[Entry]], tuple[Digest, bytes]]:
        """Return the function of a layer's name, its frame's digest and its entries that gives a key and its record."""
        wanted = Wanted(self.builder_folders)

        def looked(layer: str, frame: Digest, entries: Iterable[Entry]) -> tuple[Digest, bytes]:
            allowed, look = terms.allowed(layer), LayerLook()
            look.add(entries, layer, terms.epoch, allowed, wanted)
            return look_key(self.program, frame, layer, terms.epoch, allowed, wanted), look.kept()

        return looked


def lint_entries(entries: Iterable[Entry], owners: Mapping[TreePath, str], terms: Terms) -> LintReport:
    """Return the report on a tree; `owners` names the layer of each path."""
    return _lint_entries(entries, SeenTree(owners=owners), terms)


def _lint_entries(entries: Iterable[Entry], tree: SeenTree, terms: Terms) -> LintReport:
    wanted, look = Wanted(terms.builder_folders), LayerLook()
    for entry in entries:
        layer = tree.owner(entry.path)
        look.add((entry,), layer, terms.epoch, terms.allowed(layer), wanted)
        tree.add(entry)
    return _judged(look, tree, terms)


def _judged(look: LayerLook, tree: SeenTree, terms: Terms) -> LintReport:
    findings = look.findings
    findings += dangling_links(tree)
    findings += elf_findings(look.programs, tree, terms.arch)
    findings += script_findings(look.programs, tree)
    findings += soname_findings(look.programs, tree, look.digests)
    findings += kernels_without_modules(tree, look.kernels)
    return _report(findings, terms, tuple(_unjudged(look.programs, terms)), len(tree.entries))


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
    return _terms_of(release, str(file), _stars(image.parent), builder_folders)


def _terms_of(
    release: Release, source: str, stars: Mapping[str, StarName], builder_folders: tuple[bytes, ...]
) -> Terms:
    external = Table(release.external, source, "externalParameters")
    policy = external.take_table("policy")
    powers, waivers = (Powers(), {}) if policy is None else _policy(policy)
    epoch = release.internal.get("sourceDateEpoch")
    return Terms(
        arch=external.take("arch", str, ""),
        epoch=epoch if isinstance(epoch, int) else None,
        counter=external.count("counter") if "counter" in external else 0,
        powers=powers,
        waivers=waivers,
        stars=stars,
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
        raise Malformed(str(folder), f"is a release without {LOCK_FILE}", hint=f"cosmos verify {quoted(folder)}")
    return {star.id: star.name for star in Lock.parse(read_bounded(file, MAX_LOCK_BYTES), str(file)).stars}
