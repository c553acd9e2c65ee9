"""`RELEASE.json`: the files of a release, and everything that it was made from.

An in-toto Statement v1 (in-toto attestation framework, `https://in-toto.io/Statement/v1`) whose predicate is SLSA
provenance v1 (`https://slsa.dev/provenance/v1`). `RELEASE.json.dsse` signs these exact bytes with payload type
`application/vnd.in-toto+json`.

    subject                    every file beside it, by name and SHA-256; an image carries annotations.contentRoot
    predicate.buildDefinition
      buildType                BUILD_TYPE
      externalParameters       image name, version, arch; digests of image.toml, template; outputs; policy: which stars
                               may do more than others (powers), and which rules of the ship guard are waived (waive);
                               secrets: the names of the template's secret variables, without which nobody can build
                               the same
      internalParameters       the pins of the lock's [build], and this build's values where they differ; sandbox: the
                               result of the live probe of Nova's sandbox (see sandbox.probe)
      resolvedDependencies     every star: name NAME-VERSION, its archive's SHA-256, galaxy, statement, signers;
                               every galaxy snapshot
    predicate.runDetails
      builder.id               BUILDER_ID, version.cosmos
      metadata                 left out: no clock and no host name goes in

Names are sorted, the JSON is `canon.readable_json`: the same build writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from cosmos.canon import Json, readable_json
from cosmos.digest import Digest
from cosmos.limits import MAX_RELEASE_BYTES
from cosmos.tables import Table

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:cosmos:build:image:v1"
BUILDER_ID = "urn:cosmos:builder:v1"
RELEASE_FILE = "RELEASE.json"
RELEASE_ENVELOPE = "RELEASE.json.dsse"
MANIFEST_FILE = "manifest.txt"


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
            name=table.read("name", _plain),
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
class Release:
    """A release's statement. `external`, `internal` and `resolved` are the provenance's own objects."""

    subjects: tuple[Subject, ...]
    external: Mapping[str, Json]
    internal: Mapping[str, Json]
    resolved: tuple[Json, ...]
    cosmos_version: str

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
        definition.choice("buildType", (BUILD_TYPE,))
        builder = details.table("builder")
        builder.choice("id", (BUILDER_ID,))
        release = cls(
            subjects=subjects,
            external=definition.need("externalParameters", dict),
            internal=definition.need("internalParameters", dict),
            resolved=tuple(definition.need("resolvedDependencies", list)),
            cosmos_version=builder.table("version").need("cosmos", str),
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
                        "buildType": BUILD_TYPE,
                        "externalParameters": dict(self.external),
                        "internalParameters": dict(self.internal),
                        "resolvedDependencies": list(self.resolved),
                    },
                    "runDetails": {"builder": {"id": BUILDER_ID, "version": {"cosmos": self.cosmos_version}}},
                },
            }
        )


def _plain(text: str) -> str:
    if not text or "/" in text or "\0" in text or text in (".", ".."):
        raise ValueError(f"want a plain file name, got {text[:80]!r}")
    return text
