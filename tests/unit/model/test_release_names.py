"""The name of a file in a signed release: what a person reads is what it is, and none is cosmos's own."""

from __future__ import annotations

import pytest

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.model.release import DRAFT_MARK, RELEASE_ENVELOPE, RELEASE_FILE, Release, Subject
from cosmos.trust.signing_request import REQUEST_FILE, SIGNATURE_FILE
from fakes.builders import BUILDER

OWN = (RELEASE_FILE, RELEASE_ENVELOPE, REQUEST_FILE, SIGNATURE_FILE, DRAFT_MARK, ".cosmos-1-2.tmp")
ODD = ("x\n", "x\u202ey", "x\x1b[2J", "a\\b", "x\x9b", "", ".", "..", "a/b", "x\0", "n" * 256)


def document(name: str) -> bytes:
    """Return a release whose one file has this name."""
    subject = Subject(name=name, digest=Digest.of(b"x"), size_bytes=1)
    release = Release(subjects=(subject,), external={}, internal={}, resolved=(), builder=BUILDER)
    return release.to_bytes()


@pytest.mark.parametrize("name", [*ODD, *OWN], ids=ascii)
def test_a_signed_release_with_an_odd_or_reserved_name_is_refused(name: str) -> None:
    with pytest.raises(Malformed, match=r"subject\[0\]\.name: "):
        Release.parse(document(name), RELEASE_FILE)


@pytest.mark.parametrize("name", ["small-1.0.0-x86_64.tar.zst", "café.img", ".hidden", "cosmos-draft.txt"])
def test_any_other_name_is_taken(name: str) -> None:
    assert Release.parse(document(name), RELEASE_FILE).subjects[0].name == name
