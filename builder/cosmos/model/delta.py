"""The head of a delta: from which release it leads to which, and what each layer and file of the new one is made of.

A delta file (docs/formats/delta.md) is

    16 bytes   "cosmos-delta-v1", newline
     4 bytes   length of the envelope, little-endian
    …          DSSE envelope, payload type application/vnd.cosmos.delta.v1+json; its payload is the head
    …          the data: patches and frames, one after another, in the order of the head

The head is canonical JSON:

    {"format": 1,
     "from": {"release": DIGEST, "image": NAME, "digest": DIGEST},
     "to":   {"release": DIGEST, "image": NAME, "digest": DIGEST},
     "zstd": "1.5.7", "level": 9,
     "layers": [{"keep": [FIRST, COUNT]},
                {"name": …, "digest": DIGEST, "packed-bytes": N, "unpacked-bytes": N, "bytes": N},
                {"name": …, "digest": DIGEST, "packed-bytes": N, "unpacked-bytes": N, "bytes": N, "reference": PLACE}],
     "documents": {"files": [{"name": …, "bytes": N}], "bytes": N, "digest": DIGEST, "reference": [NAME]},
     "envelopes": [{"of": NAME, "type": …, "signatures": [{"keyid": …, "sig": BASE64}]}],
     "data": {"bytes": N, "digest": DIGEST},
     "installed": [{"name": …, "digest": DIGEST}]}

`release` is the digest of RELEASE.json. `layers` has the layers of the new image in order, without the last one, which
is the same in every image. `keep` takes COUNT layers of the old image from place FIRST on. A layer without `reference`
is a whole frame; with it, the data is a patch that refers to the content of the old image's layer at PLACE.

`documents` are files of the release that nothing else can give, joined in this order and packed as one frame, which
refers to the files `reference` of the old release, joined; `digest` is that of these joined files. `envelopes` are
files of the release that are made of a file and its signatures. All other files are made from the new image.

`installed` is there if the delta can also be applied to the files of a system: all layers of the old image.
"""

from __future__ import annotations

import base64
from typing import Final, Self

from cosmos.canon import Json, canonical_json
from cosmos.digest import Digest
from cosmos.limits import (
    MAX_DELTA_DOCUMENTS_BYTES,
    MAX_DELTA_HEAD_BYTES,
    MAX_FRAME_BYTES,
    MAX_IMAGE_LAYERS,
    MAX_PATCHED_BYTES,
    demand_within,
)
from cosmos.model.file_names import plain_name
from cosmos.records import dataclass
from cosmos.tables import Table

DELTA_FORMAT: Final = 1
DELTA_MAGIC: Final = b"cosmos-delta-v1\n"
DELTA_LENGTH_BYTES: Final = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ReleaseName:
    """A release: the digest of its RELEASE.json, and its layered image with the pack digest."""

    release: Digest
    image: str
    digest: Digest

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return a `from` or `to` object."""
        name = cls(
            release=table.read("release", Digest.parse),
            image=table.read("image", plain_name),
            digest=table.read("digest", Digest.parse),
        )
        table.end()
        return name

    def to_json(self) -> Json:
        """Return the object."""
        return {"release": str(self.release), "image": self.image, "digest": str(self.digest)}


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptLayers:
    """`count` layers of the old image, from place `first` on."""

    first: int
    count: int

    def to_json(self) -> Json:
        """Return the object."""
        return {"keep": [self.first, self.count]}


@dataclass(frozen=True, kw_only=True, slots=True)
class NewLayer:
    """A layer that the delta brings: `data_bytes` of a whole frame, or of a patch if it has a `reference`."""

    name: str
    digest: Digest
    packed_bytes: int
    unpacked_bytes: int
    data_bytes: int
    reference: int | None = None

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return an object of `layers` that has no `keep`."""
        is_patch = "reference" in table
        most = MAX_PATCHED_BYTES if is_patch else MAX_FRAME_BYTES
        layer = cls(
            name=table.need("name", str),
            digest=table.read("digest", Digest.parse),
            packed_bytes=table.count("packed-bytes", most=MAX_FRAME_BYTES),
            unpacked_bytes=table.count("unpacked-bytes", most=most),
            data_bytes=table.count("bytes", most=MAX_FRAME_BYTES),
            reference=table.count("reference", most=MAX_IMAGE_LAYERS) if is_patch else None,
        )
        if not is_patch and layer.data_bytes != layer.packed_bytes:
            table.fail("bytes", f"want {layer.packed_bytes}, the size of the frame, got {layer.data_bytes}")
        table.end()
        return layer

    def to_json(self) -> Json:
        """Return the object."""
        return {
            "name": self.name,
            "digest": str(self.digest),
            "packed-bytes": self.packed_bytes,
            "unpacked-bytes": self.unpacked_bytes,
            "bytes": self.data_bytes,
            **({} if self.reference is None else {"reference": self.reference}),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Documents:
    """Files of the release that are packed together. `reference_digest` is that of the old files, joined."""

    files: tuple[tuple[str, int], ...]
    data_bytes: int
    reference: tuple[str, ...]
    reference_digest: Digest

    @property
    def size_bytes(self) -> int:
        """The size of all files together."""
        return sum(size for _, size in self.files)

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the `documents` object."""
        rows = [
            (row, row.read("name", plain_name), row.count("bytes", most=MAX_PATCHED_BYTES))
            for row in table.tables("files")
        ]
        documents = cls(
            files=tuple((name, size) for _, name, size in rows),
            data_bytes=table.count("bytes", most=MAX_PATCHED_BYTES),
            reference=table.parsed_strings("reference", plain_name),
            reference_digest=table.read("digest", Digest.parse),
        )
        if documents.size_bytes > MAX_DELTA_DOCUMENTS_BYTES:
            table.fail("files", f"have {documents.size_bytes} bytes, the limit is {MAX_DELTA_DOCUMENTS_BYTES}")
        for part in (*(row for row, _, _ in rows), table):
            part.end()
        return documents

    def to_json(self) -> Json:
        """Return the object."""
        return {
            "files": [{"name": name, "bytes": size} for name, size in self.files],
            "bytes": self.data_bytes,
            "reference": list(self.reference),
            "digest": str(self.reference_digest),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class MadeEnvelope:
    """An envelope that is made of the file `of` and signatures: pairs of a key id and 64 bytes."""

    of: str
    payload_type: str
    signatures: tuple[tuple[str, bytes], ...]

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return an object of `envelopes`."""
        rows = [(row, row.need("keyid", str), row.read("sig", _base64)) for row in table.tables("signatures")]
        envelope = cls(
            of=table.read("of", plain_name),
            payload_type=table.need("type", str),
            signatures=tuple((keyid, raw) for _, keyid, raw in rows),
        )
        for part in (*(row for row, _, _ in rows), table):
            part.end()
        return envelope

    def to_json(self) -> Json:
        """Return the object."""
        rows: list[Json] = [
            {"keyid": keyid, "sig": base64.b64encode(raw).decode("ascii")} for keyid, raw in self.signatures
        ]
        return {"of": self.of, "type": self.payload_type, "signatures": rows}


@dataclass(frozen=True, kw_only=True, slots=True)
class DeltaHead:
    """The head of a delta. `installed`: each layer of the old image, if a system's files can take its place."""

    old: ReleaseName
    new: ReleaseName
    zstd: str
    level: int
    layers: tuple[KeptLayers | NewLayer, ...]
    documents: Documents
    envelopes: tuple[MadeEnvelope, ...]
    data_bytes: int
    data_digest: Digest
    installed: tuple[tuple[str, Digest], ...] | None = None

    @property
    def new_layers(self) -> tuple[NewLayer, ...]:
        """The layers that the delta brings."""
        return tuple(layer for layer in self.layers if isinstance(layer, NewLayer))

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the head in `data`; raises `Malformed`."""
        table = Table.from_json(data, source, max_bytes=MAX_DELTA_HEAD_BYTES)
        if table.count("format") != DELTA_FORMAT:
            table.fail("format", f"want {DELTA_FORMAT}: a newer cosmos made this delta")
        of_data = table.table("data")
        head = cls(
            old=ReleaseName.read(table.table("from")),
            new=ReleaseName.read(table.table("to")),
            zstd=table.need("zstd", str),
            level=table.count("level", least=1, most=22),
            layers=tuple(_layer(row) for row in table.tables("layers")),
            documents=Documents.read(table.table("documents")),
            envelopes=tuple(MadeEnvelope.read(row) for row in table.tables("envelopes")),
            data_bytes=of_data.count("bytes"),
            data_digest=of_data.read("digest", Digest.parse),
            installed=_installed(table),
        )
        head._demand_consistent(table)
        for part in (of_data, table):
            part.end()
        return head

    def _demand_consistent(self, table: Table) -> None:
        """Raise `Malformed` unless the parts add up to the data, and no name is there twice."""
        stated = sum(layer.data_bytes for layer in self.new_layers) + self.documents.data_bytes
        if stated != self.data_bytes:
            table.fail("data", f"the parts have {stated} bytes, but the data has {self.data_bytes}")
        kept = sum(layer.count for layer in self.layers if isinstance(layer, KeptLayers))
        if kept + len(self.new_layers) > MAX_IMAGE_LAYERS:
            table.fail("layers", f"make an image of more than {MAX_IMAGE_LAYERS} layers")
        files = [name for name, _ in self.documents.files] + [f"{one.of}.dsse" for one in self.envelopes]
        if len(set(files)) != len(files):
            table.fail("documents", "name a file twice")

    def to_bytes(self) -> bytes:
        """Return the document; raises `Refused` if it is too large for its readers."""
        data = canonical_json(
            {
                "format": DELTA_FORMAT,
                "from": self.old.to_json(),
                "to": self.new.to_json(),
                "zstd": self.zstd,
                "level": self.level,
                "layers": [layer.to_json() for layer in self.layers],
                "documents": self.documents.to_json(),
                "envelopes": [envelope.to_json() for envelope in self.envelopes],
                "data": {"bytes": self.data_bytes, "digest": str(self.data_digest)},
                **({} if self.installed is None else {"installed": _installed_json(self.installed)}),
            }
        )
        demand_within(len(data), MAX_DELTA_HEAD_BYTES, "the delta's head", hint="ship the release itself")
        return data


def _layer(row: Table) -> KeptLayers | NewLayer:
    if "keep" not in row:
        return NewLayer.read(row)
    kept = row.need("keep", list)
    if len(kept) != 2 or any(type(one) is not int or not 0 <= one <= MAX_IMAGE_LAYERS for one in kept) or not kept[1]:
        row.fail("keep", "want the place of a layer, and a number of layers from there")
    row.end()
    return KeptLayers(first=kept[0], count=kept[1])


def _installed(table: Table) -> tuple[tuple[str, Digest], ...] | None:
    if "installed" not in table:
        return None
    rows = [(row, row.need("name", str), row.read("digest", Digest.parse)) for row in table.tables("installed")]
    for row, _, _ in rows:
        row.end()
    return tuple((name, digest) for _, name, digest in rows)


def _installed_json(layers: tuple[tuple[str, Digest], ...]) -> list[Json]:
    return [{"name": name, "digest": str(digest)} for name, digest in layers]


def _base64(text: str) -> bytes:
    raw = base64.b64decode(text.encode("ascii", "replace"), validate=True)
    if base64.b64encode(raw).decode("ascii") != text:
        raise ValueError("want canonical base64 (RFC 4648 section 4)")
    return raw
