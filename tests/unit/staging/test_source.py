"""What a galaxy's source keeps in the store of documents that were verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.canon import canonical_json, digest_of
from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.model.names import GalaxyName
from cosmos.staging.source import SignedFile, Source
from cosmos.store.blobs import StoreFolder

DATA = b'name = "zlib"\n'


def offline(root: Path) -> Source:
    return Source(galaxy=GalaxyName("core"), carrier=None, store=StoreFolder(root))


@pytest.mark.parametrize("envelope", [None, b"", b'{"payload":\n "x"}'])
def test_a_kept_statement_is_found_offline_with_the_envelope_that_it_had(
    tmp_path: Path, envelope: bytes | None
) -> None:
    file = SignedFile(path="stars/zlib-1.toml", data=DATA, envelope=envelope)
    source = offline(tmp_path)
    source.keep(file)
    source.store.settle()
    assert offline(tmp_path).statement("zlib-1", Digest.of(DATA)) == file


def test_what_the_store_has_of_another_galaxy_is_not_taken(tmp_path: Path) -> None:
    source = offline(tmp_path)
    source.keep(SignedFile(path="stars/zlib-1.toml", data=DATA, envelope=b"{}"))
    source.store.settle()
    other = Source(galaxy=GalaxyName("other"), carrier=None, store=StoreFolder(tmp_path))
    with pytest.raises(WorldFailed, match="is not in the store"):
        other.statement("zlib-1", Digest.of(DATA))


def test_a_record_of_another_document_than_was_asked_for_counts_as_none(tmp_path: Path) -> None:
    source = offline(tmp_path)
    for record in (b"signed 5\nother{}", b"signed 4\n" + DATA, b"signed x\n" + DATA, b""):
        source.store.put_result(source._key(Digest.of(DATA)), record)
        with pytest.raises(WorldFailed, match="is not in the store"):
            source.statement("zlib-1", Digest.of(DATA))


@pytest.mark.parametrize("envelope", [None, b'{"payload":\n "x"}'])
def test_what_a_store_kept_at_first_is_found_as_ever(tmp_path: Path, envelope: bytes | None) -> None:
    source, digest = offline(tmp_path), Digest.of(DATA)
    source.store.put(DATA)
    record: dict[str, str | int] = {"size-bytes": len(DATA)}
    if envelope is not None:
        record |= {"envelope": str(source.store.put(envelope)), "envelope-bytes": len(envelope)}
    key = digest_of({"kind": "signed-file", "galaxy": "core", "document": str(digest)})
    source.store.put_result(key, canonical_json({**record}))
    assert source.statement("zlib-1", digest) == SignedFile(path="stars/zlib-1.toml", data=DATA, envelope=envelope)
