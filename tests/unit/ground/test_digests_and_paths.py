"""Values that cannot be wrong: digests, paths in a tree, canonical JSON, errors."""

from __future__ import annotations

import hashlib
import io
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos import errors
from cosmos.canon import canonical_json, digest_of, readable_json
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Differs, Refused
from cosmos.treepath import TreePath, escaped, unescaped

WHOLE = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "text", ["", WHOLE.upper(), WHOLE[:-1], WHOLE + "0", WHOLE[7:], "md5:" + "0" * 32, WHOLE + "\n", " " + WHOLE]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="want sha256: and 64 lower-case hex digits"):
        Digest.parse(text)


@given(st.binary(max_size=1000))
def test_a_digest_is_the_sha256_of_the_bytes(data: bytes) -> None:
    digest = Digest.of(data)
    assert digest == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert Digest.of_stream(io.BytesIO(data)) == Digest.of(memoryview(data)) == digest
    assert Digest.from_hex(digest.hex) == Digest.parse(digest) == digest


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"/a",
        b"a/",
        b"a//b",
        b".",
        b"..",
        b"a/..",
        b"a/./b",
        b"a\0b",
        b"a" * 256,
        b"/".join([b"a"] * 65),
        b"a/" * 600,
    ],
)
def test_what_is_no_path_in_a_tree_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"is empty|starts with|has|holds"):
        TreePath.parse(raw)


PART = st.sampled_from([b"", b".", b"..", b"...", b".a", b"a.", b"\n", b"\xff", b"a\0", b"a" * 255, b"a" * 256])


@given(st.lists(PART, max_size=6), st.sampled_from([1, 20, 63, 64]))
def test_a_path_is_one_if_all_its_components_are_names(parts: list[bytes], times: int) -> None:
    parts = (parts * times)[:70]
    good = all(0 < len(part) <= 255 and part not in (b".", b"..") and b"\0" not in part for part in parts)
    raw = b"/".join(parts)
    if parts and good and len(parts) <= 64 and len(raw) <= 1024:
        assert TreePath.parse(raw) == raw
    else:
        with pytest.raises(ValueError, match=r"is empty|starts with|has|holds"):
            TreePath.parse(raw)


@pytest.mark.parametrize("raw", [b"/../etc", b"a/../../b", b"/", b".", b"./"])
def test_a_rooted_path_never_climbs_and_is_never_the_root(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"is empty|component"):
        TreePath.rooted(raw)


def test_the_parts_of_a_path() -> None:
    path = TreePath.parse("usr/lib/libz.so")
    assert (path.parent, path.name) == (b"usr/lib", b"libz.so")
    assert path.parents == (b"usr", b"usr/lib")
    assert path.parent.joined(b"x", b"y") == b"usr/lib/x/y"
    assert TreePath(b"usr").parent == b""
    with pytest.raises(ValueError, match="component"):
        path.joined(b"..")


@given(st.binary(min_size=1, max_size=60))
def test_the_text_form_of_any_bytes_is_printable_and_reads_back(raw: bytes) -> None:
    text = escaped(raw)
    assert unescaped(text) == raw
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in text)


@pytest.mark.parametrize("text", ["\\x41", "\\xFF", "a\\b", "\\x5", "\x1b"])
def test_a_text_that_is_no_ones_text_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the text form"):
        unescaped(text)


def test_canonical_json_has_one_form() -> None:
    assert canonical_json({"b": 1, "a": [True, None, "ü\n"]}) == '{"a":[true,null,"ü\\n"],"b":1}'.encode()
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert readable_json({"a": 1}) == b'{\n  "a": 1\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})  # type: ignore[dict-item]  # floats are not for canonical JSON


def test_every_family_of_errors_has_its_exit_code() -> None:
    codes = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, CosmosError)
    }
    assert codes == {
        "CosmosError": 1,
        "Malformed": 2,
        "NoSolution": 3,
        "Refused": 4,
        "WorldFailed": 5,
        "ScriptFailed": 6,
        "Differs": 7,
    }


def test_an_error_keeps_its_facts_on_the_way_between_processes() -> None:
    error = Refused("zlib", "want this, got that", hint="look")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.hint, type(again)) == ("zlib: want this, got that", "look", Refused)
    differs = pickle.loads(pickle.dumps(Differs("out", "differs", differences=("a", "b"))))
    assert differs.differences == ("a", "b")


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"/", b"/a", b"a/", b"a//b", b".", b"..", b"./a", b"a/.", b"a/..", b"../a", b"a/./b", b"a/../b", b"a\0"),
        *(b"a/" * 64 + b"a", b"a" * 256, b"a/" + b"b" * 256, b"/".join([b"a" * 200] * 6)),
    ],
)
def test_a_path_that_names_no_entry_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r".+: (is|starts|holds|has)"):
        TreePath.parse(raw)


@pytest.mark.parametrize(
    "raw", [b"...", b".a", b"a.", b"..a/b..", b"a\n", b"..\n", b"a" * 255, b"/".join([b"a"] * 64), b"\xff/ /\x80"]
)
def test_a_path_of_unusual_names_is_a_path(raw: bytes) -> None:
    assert TreePath.parse(raw) == raw
