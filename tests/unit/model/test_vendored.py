"""`vendored.json` is read strictly: it comes on a stick."""

from __future__ import annotations

import json

import pytest

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.model.vendored import Vendored, VendoredFile

ONE = Digest.of(b"1")
LIST = Vendored(
    lock="image/universe.lock.toml",
    image="image",
    definition=ONE,
    files={"image/image.toml": VendoredFile(size_bytes=3, digest=ONE)},
    not_carried=("nothing",),
)


def with_row(row: object) -> bytes:
    return json.dumps({**json.loads(LIST.to_bytes()), "files": [row]}).encode()


def test_what_is_written_is_what_is_read() -> None:
    assert Vendored.parse(LIST.to_bytes(), "vendored.json") == LIST
    alone = Vendored(lock="universe.lock.toml", image=None, definition=None, files={}, not_carried=())
    assert Vendored.parse(alone.to_bytes(), "vendored.json") == alone


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "a/./b", "", "a/../../b", "a\0b", "a\\b", "a/"])
def test_a_path_that_leaves_the_folder_is_malformed(path: str) -> None:
    with pytest.raises(Malformed):
        Vendored.parse(with_row([path, 1, str(ONE)]), "vendored.json")
    for key in ("lock", "image"):
        document = {**json.loads(LIST.to_bytes()), key: path}
        with pytest.raises(Malformed):
            Vendored.parse(json.dumps(document).encode(), "vendored.json")


@pytest.mark.parametrize(
    "row", [["a", 1], ["a", -1, str(ONE)], ["a", True, str(ONE)], [1, 1, str(ONE)], "a", ["a", 1, "x"]]
)
def test_a_row_of_another_form_is_malformed(row: object) -> None:
    with pytest.raises(Malformed):
        Vendored.parse(with_row(row), "vendored.json")


def test_a_file_that_is_named_twice_is_malformed() -> None:
    row = ["a", 1, str(ONE)]
    with pytest.raises(Malformed, match="twice"):
        Vendored.parse(json.dumps({**json.loads(LIST.to_bytes()), "files": [row, row]}).encode(), "vendored.json")


def test_a_newer_format_is_told() -> None:
    document = {**json.loads(LIST.to_bytes()), "format": 2}
    with pytest.raises(Malformed, match="is of format 2, but this cosmos reads 1"):
        Vendored.parse(json.dumps(document).encode(), "vendored.json")
