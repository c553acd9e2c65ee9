"""`LayerLook`: what the rules see in the contents of one layer, so that a layer is looked at once.

The look depends on the layer's bytes, and on the terms that `look_key` names. `cosmos build` keeps it in the builder's
sealed store (`store.sealed`), and looks only at the layers that it made. `cosmos lint` always looks at all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Final, Self, cast

from cosmos.canon import Json, canonical_json, digest_of
from cosmos.digest import Digest
from cosmos.records import dataclass
from cosmos.release.lint.elf import ElfFacts, NeededVersion, is_readable
from cosmos.release.lint.entry_rules import Allowed, found, identities, rights, secrets, sifted
from cosmos.release.lint.finding import Finding
from cosmos.release.lint.kernel_rules import kernel_version
from cosmos.release.lint.program_rules import Programs
from cosmos.release.lint.rules import RuleId
from cosmos.release.lint.secret_text import patterns, sieved
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

_FORMAT: Final = 1
_CODEC: Final = "latin-1"  # every byte is one character


@dataclass(kw_only=True, slots=True)
class LayerLook:
    """What was found in a layer by itself, and what the rules on the whole tree need of its contents."""

    findings: list[Finding] = field(default_factory=list)
    programs: Programs = field(default_factory=Programs)
    kernels: dict[TreePath, bytes] = field(default_factory=dict)
    digests: dict[TreePath, Digest | None] = field(default_factory=dict)

    def add(self, entries: Iterable[Entry], layer: str, epoch: int | None, allowed: Allowed, wanted: Wanted) -> None:
        """Look at the entries of the layer called `layer`."""
        for entry, sieves in sifted(entries, wanted.patterns):
            self.findings += found(entry, layer, rights(entry, epoch, allowed))
            self.findings += found(entry, layer, secrets(entry, sieves))
            if entry.kind != "file":
                continue
            self.findings += found(entry, layer, identities(entry))
            self.programs.add(entry)
            version = kernel_version(entry.path, entry.content)
            if version is not None:
                self.kernels[entry.path] = version
            facts = self.programs.elves.get(entry.path)
            if facts is not None and facts.soname:
                self.digests[entry.path] = entry.digest

    def join(self, other: LayerLook) -> None:
        """Add what another look has found."""
        self.findings += other.findings
        self.programs.elves |= other.programs.elves
        self.programs.damaged |= other.programs.damaged
        self.programs.scripts |= other.programs.scripts
        self.programs.configured |= other.programs.configured
        self.kernels |= other.kernels
        self.digests |= other.digests

    def kept(self) -> bytes:
        """Return the look as a store keeps it."""
        return canonical_json(self.to_json())

    def to_json(self) -> Json:
        """Return the look as it is kept."""
        programs = self.programs
        return {
            "findings": [[_text(one.path), one.rule, one.what, one.star] for one in self.findings],
            "elves": {_text(path): _of_elf(facts) for path, facts in programs.elves.items()},
            "damaged": {_text(path): problem for path, problem in programs.damaged.items()},
            "scripts": {_text(path): [*map(_text, words)] for path, words in programs.scripts.items()},
            "configured": {_text(path): _text(data) for path, data in programs.configured.items()},
            "kernels": {_text(path): _text(version) for path, version in self.kernels.items()},
            "digests": {_text(path): str(digest) for path, digest in self.digests.items()},
        }

    @classmethod
    def read(cls, kept: Mapping[str, object]) -> Self:
        """Return the look that `to_json` gave; raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        rows = cast("Mapping[str, Mapping[str, list[str]]]", kept)
        texts = cast("Mapping[str, Mapping[str, str]]", kept)
        findings = cast("list[list[str]]", kept["findings"])
        return cls(
            findings=[
                Finding(path=_path(path), rule=cast("RuleId", rule), what=what, star=star)
                for path, rule, what, star in findings
            ],
            programs=Programs(
                elves={_path(path): _elf(row) for path, row in rows["elves"].items()},
                damaged={_path(path): problem for path, problem in texts["damaged"].items()},
                scripts={_path(path): tuple(map(_bytes, words)) for path, words in rows["scripts"].items()},
                configured={_path(path): _bytes(data) for path, data in texts["configured"].items()},
            ),
            kernels={_path(path): _bytes(version) for path, version in texts["kernels"].items()},
            digests={_path(path): Digest.parse(digest) for path, digest in texts["digests"].items()},
        )


class Wanted:
    """The texts that are searched for: secrets, and the folders of the builder."""

    __slots__ = ("folders", "patterns")

    def __init__(self, folders: Iterable[bytes]) -> None:
        self.folders = tuple(folders)
        self.patterns = sieved(patterns(self.folders))


def look_key(program: str, frame: Digest, layer: str, epoch: int | None, allowed: Allowed, wanted: Wanted) -> Digest:
    """Return the digest of all that a look depends on. `program` tells this program's rules from any other's."""
    return digest_of(
        {
            "what": "lint",
            "format": _FORMAT,
            "program": program,
            "frame": str(frame),
            "layer": layer,
            "epoch": epoch,
            "allowed": [allowed.setuid, allowed.open_to_all],
            "folders": [*map(_text, wanted.folders)],
            "elf": is_readable(),
        }
    )


def _of_elf(facts: ElfFacts) -> list[Json]:
    needs: list[Json] = [[_text(one.soname), _text(one.version)] for one in facts.needs]
    return [
        facts.machine,
        facts.bits,
        _text(facts.interpreter),
        [*map(_text, facts.needed)],
        _text(facts.soname),
        [*map(_text, facts.folders)],
        needs,
        [*sorted(map(_text, facts.defines))],
    ]


def _elf(row: object) -> ElfFacts:
    machine, bits, interpreter, needed, soname, folders, needs, defines = cast(
        "tuple[str, int, str, list[str], str, list[str], list[tuple[str, str]], list[str]]", row
    )
    return ElfFacts(
        machine=machine,
        bits=bits,
        interpreter=_bytes(interpreter),
        needed=tuple(map(_bytes, needed)),
        soname=_bytes(soname),
        folders=tuple(map(_bytes, folders)),
        needs=tuple(NeededVersion(soname=_bytes(name), version=_bytes(version)) for name, version in needs),
        defines=frozenset(map(_bytes, defines)),
    )


def _text(data: bytes) -> str:
    return data.decode(_CODEC)


def _bytes(text: str) -> bytes:
    return text.encode(_CODEC)


def _path(text: str) -> TreePath:
    return TreePath(_bytes(text))
