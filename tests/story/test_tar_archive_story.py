"""A star of an archive as its authors publish it: from an address, with modes and links, and again offline."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.model.star import Star
from cosmos.pack.star_archive import StarContents, read_star
from cosmos.treepath import TreePath
from fakes.http_servers import serving
from fakes.programs import Cosmos

RECIPE = 'name = "hello"\nversion = "2.12.0"\nlicense = "MIT"\ndescription = "x"\nsource = "tar:{place}"\n{more}'


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """An archive made by the machine's own tar: one folder, a program, a private file and links."""
    top = tmp_path / "made/hello-2.12"
    (top / "bin").mkdir(parents=True)
    (top / "bin/hello").write_text("#!/bin/sh\necho hello\n")
    (top / "bin/hello").chmod(0o755)
    (top / "bin/hi").symlink_to("hello")
    (top / "bin/hey").hardlink_to(top / "bin/hello")
    (top / "secret").write_text("x")
    (top / "secret").chmod(0o600)
    (tmp_path / "served").mkdir()
    archive = tmp_path / "served/hello-2.12.tar.gz"
    subprocess.run(["tar", "-czf", archive, "-C", tmp_path / "made", "hello-2.12"], check=True)
    return archive


@pytest.fixture
def star(tmp_path: Path) -> Path:
    (tmp_path / "stars/hello").mkdir(parents=True)
    return tmp_path / "stars/hello"


def sha256(file: Path) -> str:
    return f'sha256 = "{Digest.of(file.read_bytes()).hex}"\n'


def opened(archive: Path) -> StarContents:
    data = archive.read_bytes()
    unpacked = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout
    return read_star(data, archive.name, len(unpacked), script_name="")


def test_an_archive_from_an_address_becomes_a_star_and_does_so_again_offline(
    published: Path, star: Path, stellar: Cosmos, tmp_path: Path
) -> None:
    words = ("--home", tmp_path / "home", "--json")
    with serving(published.parent) as address:
        place = f"{address}/{published.name}"
        (star / "star.toml").write_text(RECIPE.format(place=place, more=sha256(published) + "strip = 1\n"))
        assert stellar("validate", star).ok().out.endswith(": good\n")
        first = stellar("build-star", star, "--out", tmp_path / "one", *words).json()[0]
    contents = opened(tmp_path / "one/hello-2.12.0.tar.zst")
    assert {path.text: f"{one.kind} {one.mode:04o} {one.target.decode()}" for path, one in contents.files.items()} == {
        "bin": "dir 0755 ",
        "bin/hello": "file 0755 ",
        "bin/hey": "hardlink 0755 bin/hello",
        "bin/hi": "symlink 0777 hello",
        "secret": "file 0600 ",
    }
    (origin,) = Star.parse(contents.manifest, "star.toml").origins
    assert (origin.ecosystem, origin.name, origin.version) == ("tar", "hello-2.12.tar.gz", "2.12.0")
    assert origin.digest == Digest.of(published.read_bytes())
    again = stellar("build-star", star, "--out", tmp_path / "two", "--offline", *words).json()[0]
    assert again["digest"] == first["digest"], "the server is gone, and nothing was asked of it"
    assert "is not in the store" in stellar("build-star", star, "--offline", "--home", tmp_path / "x").fails(5).err


def test_a_path_starts_from_the_recipe_s_folder(published: Path, star: Path, stellar: Cosmos, tmp_path: Path) -> None:
    more = sha256(published) + 'strip = 1\n[unpack]\nonly = ["bin/hi"]\nrename = { "bin" = "usr/bin" }\n'
    (star / "star.toml").write_text(RECIPE.format(place=f"../../served/{published.name}", more=more))
    stellar("build-star", star, "--out", tmp_path / "out", "--home", tmp_path / "home").ok()
    files = opened(tmp_path / "out/hello-2.12.0.tar.zst").files
    assert [path.text for path, one in files.items() if one.kind != "dir"] == ["usr/bin/hi"]


def test_another_digest_is_exit_4_and_a_missing_one_exit_2_with_the_line_to_add(
    published: Path, star: Path, stellar: Cosmos, tmp_path: Path
) -> None:
    words = ("--out", tmp_path / "out", "--home", tmp_path / "home")
    (star / "star.toml").write_text(RECIPE.format(place="../../served/hello-2.12.tar.gz", more=""))
    said = stellar("build-star", star, *words).fails(2).err
    assert "star.toml: sha256: missing" in said
    assert 'sha256 = "…"' in said
    (star / "star.toml").write_text(RECIPE.format(place="../../served/hello-2.12.tar.gz", more=sha256(published)))
    right = Digest.of(published.read_bytes())
    published.write_bytes(b"other")
    said = stellar("build-star", star, *words).fails(4).err
    assert str(right) in said
    assert f"sha256:{hashlib.sha256(b'other').hexdigest()}" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "hello/../../x"])
def test_an_archive_that_leads_out_of_the_star_is_exit_4(
    star: Path, stellar: Cosmos, tmp_path: Path, name: str
) -> None:
    with tarfile.open(star / "bad.tar", "w") as out:
        info = tarfile.TarInfo(name)
        info.size = 1
        out.addfile(info, io.BytesIO(b"x"))
    (star / "star.toml").write_text(RECIPE.format(place="bad.tar", more=sha256(star / "bad.tar")))
    assert "bad.tar: " in stellar("build-star", star, "--out", tmp_path, "--home", tmp_path / "home").fails(4).err
    assert not list(tmp_path.rglob("*.tar.zst"))


def test_a_star_of_an_archive_is_tried_on_the_archive_in_its_galaxy(
    published: Path, star: Path, stellar: Cosmos
) -> None:
    (star / "star.toml").write_text(RECIPE.format(place="hello.tar", more=sha256(published)))
    assert "is made of archives, so its files are in its archive" in stellar("test", star).fails(3).err


def test_the_tree_is_the_one_that_the_machine_s_tar_unpacks(published: Path, tmp_path: Path) -> None:
    from cosmos.limits import Budget
    from cosmos.pack.inflate import inflated
    from cosmos.pack.untar import read_tar
    from cosmos.stellar.tar_archive import stripped

    data = inflated(published.read_bytes(), ".gz", Budget(1 << 20), "x")
    ours = {one.path for one in stripped(read_tar(data, "x", rules="published"), 1, "x")}
    (tmp_path / "theirs").mkdir()
    subprocess.run(["tar", "-xzf", published, "--strip-components=1", "-C", tmp_path / "theirs"], check=True)
    theirs = {TreePath.parse(str(file.relative_to(tmp_path / "theirs"))) for file in (tmp_path / "theirs").rglob("*")}
    assert ours == theirs
