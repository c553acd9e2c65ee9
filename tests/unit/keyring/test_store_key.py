"""HOME/store.key: made once, and refused if others may read it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.keyring.store_key import STORE_KEY_FILE, store_key


def test_a_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    key = store_key(home)
    assert len(key) == 32
    assert stat.S_IMODE((home / STORE_KEY_FILE).stat().st_mode) == 0o600
    assert store_key(home) == key
    assert store_key(tmp_path / "another") != key


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_key_that_others_may_read_is_refused(mode: int, tmp_path: Path) -> None:
    store_key(tmp_path)
    (tmp_path / STORE_KEY_FILE).chmod(mode)
    with pytest.raises(Refused, match=f"others may read it: its mode is {mode:04o}") as refused:
        store_key(tmp_path)
    assert str(refused.value.hint).startswith("remove it: rm ")


@pytest.mark.parametrize("text", [b"", b"cosmos-store-key-v1 00\n", b"cosmos-store-key-v1 " + b"0" * 65 + b"\n"])
def test_a_file_that_is_no_key_is_malformed(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / STORE_KEY_FILE
    file.write_bytes(text)
    file.chmod(0o600)
    with pytest.raises(Malformed, match="is not a store's key"):
        store_key(tmp_path)


def test_a_link_in_place_of_the_key_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"cosmos-store-key-v1 " + b"0" * 64 + b"\n")
    (tmp_path / STORE_KEY_FILE).symlink_to("real")
    with pytest.raises(WorldFailed):
        store_key(tmp_path)
