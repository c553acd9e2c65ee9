"""`cosmos fetch`: only what is lacking is downloaded, and a server that lies is refused."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cosmos.content import Content
from cosmos.errors import WorldFailed
from cosmos.keyring.secret_key import SecretKey
from cosmos.limits import MAX_FILE_IN_MEMORY_BYTES
from cosmos.model.names import KeyName
from fakes.galaxies import StarSpec
from fakes.http_servers import serving
from fakes.open_files import open_below
from fakes.programs import Cosmos
from fakes.ranged_servers import RangedServer, ranged_server
from fakes.updates import NEW_STARS, OLD_STARS, Update, files_of, make_update, noise

BULK = StarSpec("bulk", "1.0.0", {"usr/bin/bulk": noise(9, 400_000)})


@pytest.fixture(scope="session")
def update(tmp_path_factory: pytest.TempPathFactory, succeed: Callable[..., None]) -> Update:
    """OLD and NEW, which no test changes. Most of both is the same star."""
    return make_update(tmp_path_factory.mktemp("fetch"), succeed, (BULK, *OLD_STARS), (BULK, *NEW_STARS))


@pytest.fixture
def server(update: Update) -> Iterator[RangedServer]:
    """A server of NEW."""
    with ranged_server(update.new) as told:
        yield told


def image_of(update: Update) -> Path:
    return next(update.new.glob("*.tar.zst"))


def test_only_the_lacking_frames_are_downloaded(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path
) -> None:
    words = (
        "fetch",
        server.address,
        "--have",
        update.old,
        "-o",
        tmp_path / "new",
        "--key",
        update.public_key,
        "--json",
    )
    answer = cosmos(*words).json()
    assert files_of(tmp_path / "new") == files_of(update.new)
    image = image_of(update)
    assert server.sent[image.name] == answer["downloaded"]["image-bytes"]
    assert server.sent[image.name] < image.stat().st_size // 2  # 60 + 30 KB of stars changed, 64 KB of its end
    assert not server.sent.keys() & {"manifest.txt", "kernel", "small-1.0.0-x86_64.cpio.zst"}, "the image gives them"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new"]


def test_without_a_release_at_hand_each_byte_comes_once(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path
) -> None:
    words = ("fetch", server.address, "-o", tmp_path / "new", "--key", update.public_key, "--json")
    answer = cosmos(*words).json()
    assert files_of(tmp_path / "new") == files_of(update.new)
    image = image_of(update)
    assert answer["downloaded"]["image-bytes"] == server.sent[image.name] == image.stat().st_size


@pytest.mark.parametrize("cut", [30_000, 64 << 10, 70_000, 300_000])
def test_no_byte_comes_twice_if_a_download_is_cut_off(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path, cut: int
) -> None:
    """Frames that lie in the end of the image, which came first, are taken from it."""
    server.cut_of = image_of(update).name
    server.cut = cut
    cosmos("fetch", server.address, "-o", tmp_path / "new", "--key", update.public_key).ok()
    assert files_of(tmp_path / "new") == files_of(update.new)
    assert server.sent[server.cut_of] == image_of(update).stat().st_size


def test_a_server_without_ranges_sends_the_whole_image_and_that_is_said(
    update: Update, cosmos: Cosmos, tmp_path: Path
) -> None:
    with serving(update.new) as address:
        words = ("fetch", address, "--have", update.old, "--key", update.public_key)
        done = cosmos(*words, "-o", tmp_path / "new").ok()
        answer = cosmos(*words, "-o", tmp_path / "again", "--json").json()
    assert "the server sends whole files only; all of it is downloaded" in done.err
    assert files_of(tmp_path / "new") == files_of(update.new)
    assert answer["downloaded"]["image-bytes"] == image_of(update).stat().st_size


def test_a_cut_off_download_goes_on_where_it_was(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path
) -> None:
    server.cut = 70_000
    words = ("fetch", server.address, "--have", update.old, "-o", tmp_path / "new", "--key", update.public_key)
    cosmos(*words).ok()
    assert files_of(tmp_path / "new") == files_of(update.new)
    image = image_of(update)
    assert server.sent[image.name] < image.stat().st_size // 2


def test_a_server_that_sends_a_byte_an_answer_is_given_up(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path
) -> None:
    """Each answer brings something: without a bound there would be one request for each byte of the image's end."""
    name = image_of(update).name
    server.cut_of, server.cut = name, 1
    refused = cosmos("fetch", server.address, "-o", tmp_path / "new", "--key", update.public_key).fails(5)
    assert f"{server.address.rstrip(chr(47))}/{name}: was cut off 100 times" in refused.err
    assert len([asked for asked, _ in server.asked if asked == name]) == 100


def test_a_run_that_failed_keeps_what_it_has(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path
) -> None:
    image = image_of(update)
    words = ("fetch", server.address, "-o", tmp_path / "new", "--key", update.public_key)
    size = image.stat().st_size

    def stops(name: str, start: int, data: bytes) -> bytes:
        return data if name != image.name or start >= size - (64 << 10) else data[: max(0, 300_000 - start)]

    server.bend = stops
    cosmos(*words).fails(5)
    assert not (tmp_path / "new").exists()
    server.bend = lambda name, start, data: data
    before = server.sent[image.name]
    cosmos(*words).ok()
    assert files_of(tmp_path / "new") == files_of(update.new)
    assert server.sent[image.name] - before < size - 290_000 + (64 << 10)


def flipped(place: int, of: str) -> Callable[[str, int, bytes], bytes]:
    """Return a bend that changes the byte at `place` of the file that ends with `of`."""

    def bend(name: str, start: int, data: bytes) -> bytes:
        if not name.endswith(of) or not start <= place < start + len(data):
            return data
        changed = bytearray(data)
        changed[place - start] ^= 1
        return bytes(changed)

    return bend


@pytest.mark.objective("SO-28")
@pytest.mark.parametrize("of", [".tar.zst", "RELEASE.json", "RELEASE.json.dsse", "receipts.json", "definition.tar"])
@pytest.mark.parametrize("place", [10, 500, -5])
def test_a_server_that_changes_a_byte_is_refused(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path, of: str, place: int
) -> None:
    file = next(file for file in update.new.iterdir() if file.name.endswith(of))
    if not -file.stat().st_size <= place < file.stat().st_size:
        place = 0
    server.bend = flipped(place % file.stat().st_size, of)
    out = shutil.copytree(update.old, tmp_path / "out")
    before = files_of(out)
    cosmos("fetch", server.address, "-o", out, "--key", update.public_key).fails(4)
    assert files_of(out) == before


@pytest.mark.objective("SO-28")
def test_a_server_with_an_image_of_its_own_is_refused(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path
) -> None:
    """Its seek table, index and frames agree with one another, but not with what was signed."""
    served = shutil.copytree(update.new, tmp_path / "served")
    other = next(update.old.glob("*.tar.zst")).read_bytes()
    size = image_of(update).stat().st_size
    (served / image_of(update).name).write_bytes(other)
    server.folder = served
    cosmos("fetch", server.address, "-o", tmp_path / "new", "--key", update.public_key).fails(4)
    (served / image_of(update).name).write_bytes((bytes(size) + other)[-size:])
    cosmos("fetch", server.address, "-o", tmp_path / "new", "--key", update.public_key).fails(4)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("cut", [1 << 40, 40_000])
def test_a_server_need_not_say_how_long_the_file_is(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path, cut: int
) -> None:
    """RFC 9110 section 14.4: `*` for a size that the server does not know. The size is in what was signed."""
    server.extent, server.cut_of, server.cut = "bytes {first}-{last}/*", image_of(update).name, cut
    said = cosmos(
        "fetch", server.address, "--have", update.old, "-o", tmp_path / "new", "--key", update.public_key
    ).ok()
    assert "all of it is downloaded" not in said.err
    assert files_of(tmp_path / "new") == files_of(update.new)
    assert "" not in [wanted for name, wanted in server.asked if name == image_of(update).name]


def test_a_server_that_does_not_say_the_size_is_trusted_no_more(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path
) -> None:
    server.extent, server.bend = "bytes {first}-{last}/*", flipped(image_of(update).stat().st_size - 5, ".tar.zst")
    cosmos("fetch", server.address, "-o", tmp_path / "new", "--key", update.public_key).fails(4)
    assert not (tmp_path / "new").exists()


@pytest.mark.objective("SO-28")
@pytest.mark.parametrize(
    "extent",
    [
        "bytes 0-1/2",
        "bytes 0-99/*",
        "x",
        "bytes 5-8/999999999999",
        "bytes */{size}",
        "bytes {first}-{last}/",
        "bytes {first}-{last}/**",
        "bytes {first}-{size}/*",
        "bytes 0{first}-{last}/*",
        "bytes {first}-{last}",
    ],
)
def test_a_server_that_sends_another_part_is_refused(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path, extent: str
) -> None:
    server.extent = extent
    cosmos("fetch", server.address, "-o", tmp_path / "new", "--key", update.public_key).fails(4)


@pytest.mark.objective("SO-28")
def test_a_release_that_no_pinned_key_signed_is_not_fetched(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path
) -> None:
    (tmp_path / "x.pub").write_text(SecretKey.generate(KeyName.parse("x"), "release").public.to_text())
    cosmos("fetch", server.address, "-o", tmp_path / "new", "--key", tmp_path / "x.pub").fails(4)
    assert image_of(update).name not in server.sent


@pytest.mark.objective("SO-28")
def test_a_damaged_release_at_hand_costs_a_download_and_nothing_else(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path
) -> None:
    have = shutil.copytree(update.old, tmp_path / "have")
    image = next(have.glob("*.tar.zst"))
    data = bytearray(image.read_bytes())
    data[200_000] ^= 1
    image.write_bytes(data)
    cosmos("fetch", server.address, "--have", have, "-o", tmp_path / "new", "--key", update.public_key).ok()
    assert files_of(tmp_path / "new") == files_of(update.new)


@pytest.mark.parametrize(
    "what", ["image cut off", "no image", "pipe", "failing disk", "description", "failing description"]
)
def test_a_release_at_hand_that_cannot_be_opened_costs_a_download_and_is_named(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path, what: str
) -> None:
    have = shutil.copytree(update.old, tmp_path / "have")
    image = next(have.glob("*.tar.zst"))
    if what == "image cut off":
        os.truncate(image, 1000)
    elif what == "no image":
        image.unlink()
    elif what == "pipe":
        image.unlink()
        os.mkfifo(image)
    elif what.startswith("failing"):  # a read of its first page fails
        file = image if what == "failing disk" else have / "RELEASE.json"
        file.unlink()
        file.symlink_to("/proc/self/mem")
    else:
        (have / "RELEASE.json").write_text("{")
    words = ("fetch", server.address, "--have", have, "-o", tmp_path / "new", "--key", update.public_key)
    said = cosmos(*words).ok().err
    assert f"warning: --have {have}: " in said
    assert files_of(tmp_path / "new") == files_of(update.new)
    (have / "RELEASE.json").unlink()
    assert "is not there" in cosmos(*words).fails(2).err, "another folder was meant"


def test_what_is_no_file_among_the_old_files_comes_from_the_server(
    update: Update, server: RangedServer, cosmos: Cosmos, tmp_path: Path
) -> None:
    """The frames of the old image count all the same. A pipe would keep the command waiting for ever."""
    have = shutil.copytree(update.old, tmp_path / "have")
    kinds = itertools.cycle((os.mkfifo, a_socket, Path.mkdir, lambda place: place.symlink_to("nowhere")))
    for file in sorted(have.iterdir()):
        if file.name != "RELEASE.json" and not file.name.endswith(".tar.zst"):
            file.unlink()
            next(kinds)(file)
    said = cosmos("fetch", server.address, "--have", have, "-o", tmp_path / "new", "--key", update.public_key).ok()
    assert "warning: --have" not in said.err
    assert files_of(tmp_path / "new") == files_of(update.new)
    assert server.sent[image_of(update).name] < image_of(update).stat().st_size


def a_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(place))  # a socket's whole path may be too long


def test_an_address_without_a_release_is_told(
    server: RangedServer, update: Update, cosmos: Cosmos, tmp_path: Path
) -> None:
    words = ("-o", tmp_path / "new", "--key", update.public_key)
    assert "has no RELEASE.json" in cosmos("fetch", f"{server.address}/x", *words).fails(5).err
    assert "want http://" in cosmos("fetch", str(update.new), *words).fails(2).err


def test_an_initramfs_with_files_that_do_not_fit_into_memory_is_made_and_not_downloaded(
    tmp_path: Path, succeed: Callable[..., None], cosmos: Cosmos
) -> None:
    """Its files and its archive lay in one spool, the ones in the middle of the other, so it was another one."""
    large = StarSpec("large", "1.0.0", {"usr/bin/large": noise(1, MAX_FILE_IN_MEMORY_BYTES + 1)})
    update = make_update(tmp_path / "made", succeed, (large, *OLD_STARS), (large, *NEW_STARS))
    with ranged_server(update.new) as server:
        cosmos("fetch", server.address, "-o", tmp_path / "new", "--key", update.public_key).ok()
        assert "small-1.0.0-x86_64.cpio.zst" not in server.sent
    assert files_of(tmp_path / "new") == files_of(update.new)
    delta = tmp_path / "d"
    words = ("delta", update.old, update.new, "-o", delta, "--installed", "--key", update.secret_key)
    assert cosmos(*words, "--json").json()["documents-bytes"] < 100_000


def test_an_initramfs_for_which_there_is_no_room_is_downloaded_into_the_room_that_its_making_took(
    tmp_path: Path, succeed: Callable[..., None], cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files stayed on the disk, so that there was no room for the download either."""
    large = StarSpec("large", "1.0.0", {"usr/bin/large": noise(1, MAX_FILE_IN_MEMORY_BYTES + 1)})
    update = make_update(tmp_path / "made", succeed, (large, *OLD_STARS), (large, *NEW_STARS))
    work, taken = tmp_path / ".new.part", []

    def full(*_: object) -> Content:
        assert open_below(work), "the files of the archive are on the disk"
        raise WorldFailed(str(work), "the disk is full")

    def seen(name: str, _start: int, data: bytes) -> bytes:
        if name.endswith(".cpio.zst"):
            taken.extend(open_below(work))
        return data

    monkeypatch.setattr("cosmos.release.delta.derived.compressed", full)
    with ranged_server(update.new) as server:
        server.bend = seen
        cosmos("fetch", server.address, "-o", tmp_path / "new", "--key", update.public_key).ok()
        assert "small-1.0.0-x86_64.cpio.zst" in server.sent
    assert files_of(tmp_path / "new") == files_of(update.new)
    assert [one for one in taken if "downloads" not in str(one) and "lock" not in str(one)] == []
