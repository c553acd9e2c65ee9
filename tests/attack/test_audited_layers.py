"""A thief who has the home's key can seal a layer of their own. `build --audit` finds it by making the layer again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.keyring.store_key import store_key
from cosmos.store.blobs import StoreFolder
from cosmos.store.sealed import Seal, SealedStore
from fakes.images import ImageFixture
from fakes.programs import Cosmos, Outcome


@pytest.fixture
def built(tmp_path: Path, built_image: Callable[..., ImageFixture]) -> ImageFixture:
    return built_image(tmp_path)


def sealed_again(image: ImageFixture, change: Callable[[bytes], bytes]) -> int:
    """Change each sealed record by `change` and seal it again with the home's own key; return how many changed."""
    folder, seal, changed = StoreFolder(image.home / "store"), Seal(store_key(image.home)), 0
    sealed = SealedStore(folder, seal)
    for key in keys_of(image, sealed):
        data = sealed.get_result(key)
        if data is not None and change(data) != data:
            sealed.put_result(key, change(data))
            changed += 1
    return changed


def keys_of(image: ImageFixture, sealed: SealedStore) -> list[Digest]:
    """Return the keys of the layers and of their frames: the records of the store are kept under other names."""
    from cosmos.image.workshop import layers

    asked: list[Digest] = []
    original = SealedStore.get_result

    def listening(self: SealedStore, key: Digest) -> bytes | None:
        asked.append(key)
        return original(self, key)

    assert layers.Workshop is not None
    SealedStore.get_result = listening  # type: ignore[method-assign]  # it listens to one method
    try:
        from cosmos.cli.cosmos.main import program
        from cosmos.cli.endings import run

        with pytest.raises(SystemExit):
            words = ("build", image.folder, "--home", image.home, "--out", image.folder / "listening", "--jobs", 1)
            run(program, "cosmos", [str(word) for word in words])
    finally:
        SealedStore.get_result = original  # type: ignore[method-assign]  # it listens to one method
    return list(dict.fromkeys(asked))


def audited(image: ImageFixture, cosmos: Cosmos) -> Outcome:
    return cosmos("build", image.folder, "--home", image.home, "--out", image.folder / "other", "--audit", "100%")


@pytest.mark.objective("SO-27")
def test_a_planted_file_in_a_layer_is_named_with_its_star(built: ImageFixture, cosmos: Cosmos) -> None:
    assert sealed_again(built, lambda data: data.replace(b"etc/has-tool", b"etc/has-fool"))
    said = audited(built, cosmos).fails(7)
    assert "app: /etc/has-fool is only in the store" in said.err
    assert "app: /etc/has-tool is not in the store" in said.err
    assert not (built.folder / "other").exists()


def test_a_planted_mode_in_the_record_of_a_packed_frame_is_named_with_its_star(
    built: ImageFixture, cosmos: Cosmos
) -> None:
    """The rows of a frame are what an image says of it. Here they give a program the rights of its owner."""

    def of_frame(data: bytes) -> bytes:
        return data.replace(b" file 0755 ", b" file 4755 ") if b'"packed-bytes"' in data else data

    assert sealed_again(built, of_frame)
    said = audited(built, cosmos).fails(7)
    assert "base: /usr/bin/tool is another in the packed frame" in said.err


def test_a_layer_as_its_star_makes_it_passes(built: ImageFixture, cosmos: Cosmos) -> None:
    assert "audit 3 layers of 3, seed " in audited(built, cosmos).ok().err
