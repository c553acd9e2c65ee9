"""`RELEASE.json`: the files of a release, and everything that it was made from.

An in-toto Statement v1 (in-toto attestation framework, `https://in-toto.io/Statement/v1`) whose predicate is SLSA
provenance v1 (`https://slsa.dev/provenance/v1`). `RELEASE.json.dsse` signs these exact bytes with payload type
`application/vnd.in-toto+json`.

    subject                    every file beside it, by name and SHA-256; an image carries annotations.contentRoot
    predicate.buildDefinition
      buildType                BUILD_TYPES of the format's number
      externalParameters       image name, version, arch; the digest of image.toml; policy: which stars may do more than
                               others (powers), and which rules of the ship guard are waived (waive); secrets: the names
                               of the template's secret variables, without which nobody can build the same; vars: the
                               values of other variables that came with the build command
      internalParameters       the pins of the lock's [build], and this build's values where they differ; sandbox: the
                               result of the live probe of Nova's sandbox (see sandbox.probe)
      resolvedDependencies     every input with its digest: the files of definition.tar, the lock and its signature, the
                               trust.toml of the lock, every galaxy snapshot, every star
    predicate.runDetails
      builder.id               BUILDER_ID
      builder.version          cosmos, python, zstd
      builder.builderDependencies   the program's own bytes, and the libraries that a source tree runs with
      metadata, byproducts     left out: no clock, no host name and no number of the build goes in

Names are sorted, the JSON is `canon.readable_json`: the same build by the same builder writes the same bytes.

The format's number stands in `buildType`. Format 1 names only stars and galaxies as inputs, and of its builder only the
version of Cosmos. Cosmos still reads it. An older Cosmos, which knows format 1 alone, refuses format 2 by `buildType`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Self

from cosmos.canon import Json, readable_json
from cosmos.digest import Digest
from cosmos.limits import MAX_RELEASE_BYTES
from cosmos.model.file_names import plain_name
from cosmos.records import dataclass
from cosmos.tables import Table

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPES: Final = {1: "urn:cosmos:build:image:v1", 2: "urn:cosmos:build:image:v2"}
RELEASE_FORMAT: Final = 2
BUILDER_ID = "urn:cosmos:builder:v1"
RELEASE_FILE = "RELEASE.json"
RELEASE_ENVELOPE = "RELEASE.json.dsse"
MANIFEST_FILE = "manifest.txt"
DEFINITION_FILE = "definition.tar"
REPORT_FILE = "report.html"
BINARY_FILE = "cosmos"
DRAFT_MARK: Final = "cosmos-draft"  # in the folder of an unfinished release
_TEMPORARY: Final = ".cosmos-"  # begins the names of files that are being written
_RESERVED: Final = (RELEASE_FILE, RELEASE_ENVELOPE, "RELEASE.request", "RELEASE.signature", DRAFT_MARK)


def draft_prefix(out: str) -> str:
    """Return how the names of the folders begin in which a release is made whose own folder is `out`, beside it.

    >>> draft_prefix("out")
    '.out-'
    """
    return f".{out}-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One file of a release."""

    name: str
    digest: Digest
    size_bytes: int
    content_root: Digest | None = None

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a `subject` object."""
        digest, notes = table.table("digest"), table.table("annotations")
        subject = cls(
            name=table.read("name", subject_name),
            digest=digest.read("sha256", Digest.from_hex),
            size_bytes=notes.count("sizeBytes"),
            content_root=notes.take_read("contentRoot", Digest.parse),
        )
        for part in (digest, notes, table):
            part.end()
        return subject

    def to_json(self) -> Json:
        """Return the object."""
        notes: dict[str, Json] = {"sizeBytes": self.size_bytes}
        if self.content_root is not None:
            notes["contentRoot"] = str(self.content_root)
        return {"name": self.name, "digest": {"sha256": self.digest.hex}, "annotations": notes}


@dataclass(frozen=True, kw_only=True, slots=True)
class Builder:
    """The program that made a release. `versions` are those of cosmos, python and zstd; in format 1 of cosmos alone.

    `parts` are resource descriptors: what the program consists of.
    """

    versions: Mapping[str, str]
    parts: tuple[Json, ...] = ()

    @property
    def program(self) -> Json:
        """The descriptor of Cosmos itself, without its libraries; None if the format names none."""
        return self.parts[0] if self.parts else None

    @classmethod
    def read(cls, table: Table, form: int) -> Self:
        """Return a `builder` object of a document of that format."""
        table.choice("id", (BUILDER_ID,))
        versions = table.table("version")
        names = ("cosmos",) if form == 1 else ("cosmos", "python", "zstd")
        builder = cls(
            versions={name: versions.need(name, str) for name in names},
            parts=() if form == 1 else tuple(table.need("builderDependencies", list)),
        )
        for part in (versions, table):
            part.end()
        return builder

    def to_json(self) -> Json:
        """Return the object."""
        parts: dict[str, Json] = {"builderDependencies": [*self.parts]} if len(self.versions) > 1 else {}
        return {"id": BUILDER_ID, "version": dict(self.versions), **parts}


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """A release's statement. `external`, `internal` and `resolved` are the provenance's own objects."""

    subjects: tuple[Subject, ...]
    external: Mapping[str, Json]
    internal: Mapping[str, Json]
    resolved: tuple[Json, ...]
    builder: Builder
    form: int = RELEASE_FORMAT

    def by(self, other: Release) -> Release:
        """Return this release as the builder of `other` would have described it.

        A description in format 1 names fewer inputs. Then the missing ones are those that `other` names. The words of
        the page are those of its program, and older programs wrote no page. So the page is the one of `other`, unless
        the same program wrote both.
        """
        resolved = self.resolved if self.form == other.form else other.resolved
        is_ours = self.builder.program is not None and self.builder.program == other.builder.program
        subjects = {one.name: one for one in self.subjects if one.name != REPORT_FILE}
        subjects |= {one.name: one for one in (self if is_ours else other).subjects if one.name == REPORT_FILE}
        return replace(
            self,
            builder=other.builder,
            resolved=resolved,
            form=other.form,
            subjects=tuple(subjects[name] for name in sorted(subjects)),
        )

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the release in `data`; raises `Malformed`."""
        table = Table.from_json(data, source, max_bytes=MAX_RELEASE_BYTES)
        table.choice("_type", (STATEMENT_TYPE,))
        table.choice("predicateType", (PREDICATE_TYPE,))
        subjects = tuple(Subject.read(row) for row in table.tables("subject"))
        if len({subject.name for subject in subjects}) != len(subjects):
            table.fail("subject", "names a file twice")
        predicate = table.table("predicate")
        definition, details = predicate.table("buildDefinition"), predicate.table("runDetails")
        form = _form(definition)
        release = cls(
            subjects=subjects,
            external=definition.need("externalParameters", dict),
            internal=definition.need("internalParameters", dict),
            resolved=tuple(definition.need("resolvedDependencies", list)),
            builder=Builder.read(details.table("builder"), form),
            form=form,
        )
        for part in (definition, details, predicate, table):
            part.end()
        return release

    def to_bytes(self) -> bytes:
        """Return the document."""
        return readable_json(
            {
                "_type": STATEMENT_TYPE,
                "subject": [subject.to_json() for subject in sorted(self.subjects, key=lambda subject: subject.name)],
                "predicateType": PREDICATE_TYPE,
                "predicate": {
                    "buildDefinition": {
                        "buildType": BUILD_TYPES[self.form],
                        "externalParameters": dict(self.external),
                        "internalParameters": dict(self.internal),
                        "resolvedDependencies": list(self.resolved),
                    },
                    "runDetails": {"builder": self.builder.to_json()},
                },
            }
        )


def _form(definition: Table) -> int:
    """Return the number of the document's format."""
    stated = definition.need("buildType", str)
    forms = {build_type: form for form, build_type in BUILD_TYPES.items()}
    if stated not in forms:
        definition.fail("buildType", f"want one of {', '.join(forms)}, got {stated[:80]!r}: a newer cosmos wrote it")
    return forms[stated]


def subject_name(text: str) -> str:
    """Return `text` as the name of a file that a release names, or raise `ValueError`."""
    if text in _RESERVED or text.startswith(_TEMPORARY):
        raise ValueError(f"{text} is a file of cosmos itself, and no subject")
    return plain_name(text)
