"""An archive as its authors publish it becomes a star: pinned by its digest, read strictly, and root's."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from cosmos.errors import CosmosError, Malformed, NoSolution, Refused, WorldFailed
from cosmos.stellar.build_star import BuiltStar, Workshop, build_star, maintainer_scripts
from cosmos.stellar.ecosystems import ECOSYSTEMS
from cosmos.stellar.tar_archive import TarSource
from cosmos.stellar.validate_star import validate_star
from fakes.debs import FakeArchive, ecosystems_on
from fakes.http_servers import serving
from fakes.reporters import Remembering

Make = Callable[..., Path]
MTIME = 1_600_000_000
ABOUT = 'name = "hello"\nversion = "2.12.0"\nlicense = "MIT"\ndescription = "x"\n'
What = bytes | str | None | tarfile.TarInfo


def member(name: str, kind: bytes = tarfile.REGTYPE, **more: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in more.items():
        setattr(info, key, value)
    return info


def tar(files: Mapping[str, What], form: int = tarfile.GNU_FORMAT) -> bytes:
    """Return a tar archive of somebody whose user id is 1000: bytes are a file, text a symlink, None a folder."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=form) as out:
        for name, what in files.items():
            info = what if isinstance(what, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.mtime, info.uid, info.gid, info.uname = MTIME, 1000, 1000, "ann"
            if isinstance(what, bytes):
                info.size, info.mode = len(what), 0o755 if "bin/" in name else 0o644
            elif isinstance(what, str):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, what, 0o777
            elif what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            out.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return raw.getvalue()


HELLO: Mapping[str, What] = {
    "hello-2.12": None,
    "hello-2.12/README": b"read me",
    "hello-2.12/bin": None,
    "hello-2.12/bin/hello": b"#!/bin/sh\n",
    "hello-2.12/bin/hi": "hello",
    "hello-2.12/bin/hey": member("hello-2.12/bin/hey", tarfile.LNKTYPE, linkname="hello-2.12/bin/hello"),
}


def recipe(data: bytes, place: str = "hello.tar", more: str = "strip = 1\n") -> str:
    return f'{ABOUT}source = "tar:{place}"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\n{more}'


def tree(built: BuiltStar) -> dict[str, str]:
    return {one.path.text: f"{one.kind} {one.mode:04o} {one.uid}:{one.gid} {one.mtime}" for one in built.entries}


@pytest.fixture
def built(make_folder: Make, workshop: Workshop) -> Callable[..., BuiltStar]:
    """Build a star of an archive that lies beside its recipe."""

    def build(data: bytes, more: str = "strip = 1\n", name: str = "hello.tar") -> BuiltStar:
        return build_star(make_folder(recipe(data, name, more), {name: data}), workshop)

    return build


def test_each_ecosystem_is_one_line_of_the_table() -> None:
    assert list(ECOSYSTEMS) == ["deb", "tar"]
    for scheme, ecosystem in ECOSYSTEMS.items():
        assert ecosystem.rules.form.startswith(f"{scheme}:")


def test_an_archive_s_files_are_root_s_with_its_modes_and_times(built: Callable[..., BuiltStar]) -> None:
    data = tar(HELLO)
    star = built(data)
    assert tree(star) == {
        "README": f"file 0644 0:0 {MTIME}",
        "bin": f"dir 0755 0:0 {MTIME}",
        "bin/hello": f"file 0755 0:0 {MTIME}",
        "bin/hey": f"hardlink 0755 0:0 {MTIME}",
        "bin/hi": f"symlink 0777 0:0 {MTIME}",
    }
    (origin,) = star.manifest.origins
    assert (origin.ecosystem, origin.name, origin.version) == ("tar", "hello.tar", "2.12.0")
    assert origin.digest.hex == hashlib.sha256(data).hexdigest()
    assert (star.manifest.license, star.manifest.arch, star.unrun) == ("MIT", "any", ())


@pytest.mark.parametrize(
    ("ending", "press"),
    [
        (".tar", bytes),
        (".tar.gz", gzip.compress),
        (".tgz", gzip.compress),
        (".tar.xz", lzma.compress),
        (".tar.bz2", bz2.compress),
        (".tar.zst", zstandard.ZstdCompressor().compress),
    ],
)
def test_every_compression_gives_the_same_entries(
    built: Callable[..., BuiltStar], ending: str, press: Callable[[bytes], bytes]
) -> None:
    assert tree(built(press(tar(HELLO)), name=f"hello{ending}")) == tree(built(tar(HELLO)))


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_form_of_tar_gives_the_same_entries(built: Callable[..., BuiltStar], form: int) -> None:
    assert tree(built(tar(HELLO, form))) == tree(built(tar(HELLO)))


def test_the_headers_of_gnu_s_make_dist_are_read(built: Callable[..., BuiltStar]) -> None:
    old = bytearray(tar({"a": b"1"}, tarfile.USTAR_FORMAT))
    old[257:265] = bytes(8)  # v7: no magic
    old[265:329] = bytes(64)  # nor names of user and group
    old[148:156] = b" " * 8
    old[148:156] = b"%06o\0 " % sum(old[:512])
    assert list(tree(built(bytes(old), more=""))) == ["a"]


def test_without_strip_paths_stay_as_they_are(built: Callable[..., BuiltStar]) -> None:
    assert "hello-2.12/bin/hello" in tree(built(tar(HELLO), more=""))


def test_strip_leaves_out_what_lies_less_deep_and_a_hard_link_becomes_its_file(
    built: Callable[..., BuiltStar],
) -> None:
    files = {"package.xml": b"shared", "a/b": member("a/b", tarfile.LNKTYPE, linkname="package.xml"), "a/c": b""}
    star = built(tar(files))
    assert {one.path.text: (one.kind, bytes(one.content)) for one in star.entries} == {
        "b": ("file", b"shared"),
        "c": ("file", b""),
    }
    with pytest.raises(NoSolution, match=r"hello\.tar: strip = 9 leaves nothing of it"):
        built(tar(files), more="strip = 9\n")
    with pytest.raises(NoSolution, match=r"\[unpack\] keeps nothing of its archives"):
        built(tar(files), more='strip = 1\n[unpack]\nexclude = ["*"]\n')


def test_unpack_chooses_among_the_stripped_paths(built: Callable[..., BuiltStar]) -> None:
    more = 'strip = 1\n[unpack]\nonly = ["bin/hello"]\nrename = { "bin" = "usr/bin" }\n'
    assert list(tree(built(tar(HELLO), more))) == ["usr/bin", "usr/bin/hello"]
    with pytest.raises(NoSolution, match=r"unpack\.only: sbin matches nothing in hello\.tar") as caught:
        built(tar(HELLO), 'strip = 1\n[unpack]\nonly = ["sbin"]\n')
    assert "tar --list" in str(caught.value.hint)


def test_no_file_runs_with_rights_that_its_packer_gave(built: Callable[..., BuiltStar]) -> None:
    files = {"su": member("su", mode=0o6755), "shared": member("shared", tarfile.DIRTYPE, mode=0o3777)}
    assert {path: what.split()[1] for path, what in tree(built(tar(files), more="")).items()} == {
        "shared": "1777",
        "su": "0755",
    }
    able = member("able", mode=0o755, pax_headers={"SCHILY.xattr.security.capability": "x"})
    assert built(tar({"able": able}, tarfile.PAX_FORMAT), more="").entries[0].xattrs == ()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"../etc/passwd": b""}, r"hello\.tar: \.\./etc/passwd: has the component"),
        ({"a/../../etc/passwd": b""}, "has the component"),
        ({"/etc/passwd": b""}, "/etc/passwd: starts with a slash"),
        ({"a": "/tmp", "a/b": b""}, "lies below a, which is a symlink"),
        ({"top/a": "../../etc"}, "climbs above the root"),
        ({"x": member("x", tarfile.CHRTYPE)}, "is a device node or FIFO"),
        ({"top/a": member("top/a", tarfile.LNKTYPE, linkname="../../etc/passwd")}, "is a hard link to"),
    ],
)
def test_paths_that_lead_out_of_the_star_are_refused(
    built: Callable[..., BuiltStar], files: Mapping[str, What], said: str
) -> None:
    with pytest.raises(Refused, match=said):
        built(tar(files), more="")


def test_a_link_that_climbs_out_once_its_folder_is_taken_off_is_refused(built: Callable[..., BuiltStar]) -> None:
    data = tar({"top/a": "../x"})
    assert list(tree(built(data, more=""))) == ["top/a"]
    with pytest.raises(Refused, match=r"hello\.tar: top/a: with strip = 1 its target climbs above the root"):
        built(data)


def test_two_paths_that_strip_makes_one_are_refused_but_folders_are_joined(built: Callable[..., BuiltStar]) -> None:
    assert list(tree(built(tar({"a/lib": None, "b/lib": None, "a/lib/x": b"", "b/lib/y": b""})))) == [
        "lib",
        "lib/x",
        "lib/y",
    ]
    with pytest.raises(Refused, match=r"b/x: with strip = 1 another path becomes x, too"):
        built(tar({"a/x": b"", "b/x": b""}))


def test_another_digest_is_refused_and_both_are_said(make_folder: Make, workshop: Workshop) -> None:
    wanted, other = tar(HELLO), tar({"a": b""})
    with pytest.raises(Refused) as caught:
        build_star(make_folder(recipe(wanted), {"hello.tar": other}), workshop)
    assert hashlib.sha256(wanted).hexdigest() in str(caught.value)
    assert hashlib.sha256(other).hexdigest() in str(caught.value)


def test_damage_is_refused(built: Callable[..., BuiltStar]) -> None:
    data = gzip.compress(tar(HELLO))
    for wrong in (data[:-9], data + b"x", b"no archive"):
        with pytest.raises(Refused):
            built(wrong, name="hello.tar.gz")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('source = "tar:a.tar"\n', r"star\.toml: sha256: missing: it pins the archive a\.tar"),
        ('source = "tar:a.tar"\nsha256 = "12"\n', "sha256: "),
        ('source = ["tar:a.tar", "tar:b.tar"]\nsha256 = ["DIGEST"]\n', "want a digest for each of 2 archives, got 1"),
        ('source = "tar:a.tar"\nsha256 = "DIGEST"\nstrip = -1\n', "strip: want 0 to 64, got -1"),
        ('source = "tar:a.tar"\nsha256 = "DIGEST"\nsuite = "bookworm"\n', "suite: belongs to packages, but source na"),
        ('source = "deb:a"\nstrip = 1\n', "strip: belongs to archives, but source names no tar:"),
        ('source = "tar:a.zip"\nsha256 = "DIGEST"\n', r"source\[0\]: want tar:PATH or tar:URL of a file with the end"),
        ('source = "tar:ftp://x/a.tar"\nsha256 = "DIGEST"\n', "want an http:// or https:// address"),
        ('source = "tar:http://u:p@x/a.tar"\nsha256 = "DIGEST"\n', "want an http:// or https:// address"),
        ('source = "tar:http://x/a?b=/c.tar"\nsha256 = "DIGEST"\n', "want an http:// or https:// address"),
        ('source = "tar:http:///a.tar"\nsha256 = "DIGEST"\n', "want an http:// or https:// address"),
    ],
)
def test_a_recipe_that_means_no_archive_is_malformed(
    make_folder: Make, workshop: Workshop, rows: str, said: str
) -> None:
    folder = make_folder(ABOUT + rows.replace("DIGEST", "ab" * 32))
    with pytest.raises(Malformed, match=said):
        build_star(folder, workshop)
    assert [one for one in validate_star(folder) if one.weight == "error"]


def test_the_missing_digest_s_hint_is_the_line_to_add(make_folder: Make, workshop: Workshop) -> None:
    folder = make_folder(ABOUT + 'source = "tar:a.tar"\n')
    with pytest.raises(Malformed) as caught:
        build_star(folder, workshop)
    assert f"add to {folder / 'star.toml'} the digest" in str(caught.value.hint)
    assert 'sha256 = "…"' in str(caught.value.hint)


def test_version_and_licence_are_the_recipe_s(make_folder: Make, workshop: Workshop) -> None:
    data = tar(HELLO)
    text = recipe(data).replace('version = "2.12.0"\n', "")
    with pytest.raises(Malformed, match="version: missing"):
        build_star(make_folder(text, {"hello.tar": data}), workshop)
    folder = make_folder(recipe(data).replace('license = "MIT"\n', ""), {"hello.tar": data})
    assert any("has no license" in one.problem for one in validate_star(folder))


def test_a_star_may_be_made_of_archives_and_packages(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    archive.add("greet", {"usr/bin/greet": b"x"}, version="1:3-4", scripts=("postinst",))
    one, two = tar({"a": b"1"}), tar({"b": b"2"})
    digests = ", ".join(f'"{hashlib.sha256(data).hexdigest()}"' for data in (one, two))
    text = f'{ABOUT}source = ["tar:1.tar", "deb:greet", "tar:2.tar"]\nsha256 = [{digests}]\n'
    folder = make_folder(text, {"1.tar": one, "2.tar": two})
    built = build_star(folder, workshop)
    assert [origin.name for origin in built.manifest.origins] == ["1.tar", "greet", "2.tar"]
    assert [origin.version for origin in built.manifest.origins] == ["2.12.0", "1:3-4", "2.12.0"]
    assert (str(built.manifest.version), built.manifest.arch) == ("2.12.0", "x86_64")
    assert [one.path.text for one in built.entries if one.kind == "file"] == ["a", "b", "usr/bin/greet"]
    assert maintainer_scripts(folder, workshop) == ("greet: postinst",)
    with pytest.raises(Malformed, match="version: missing"):
        build_star(make_folder(text.replace('version = "2.12.0"\n', "")), workshop)


def test_what_was_fetched_once_is_built_again_without_a_network(
    make_folder: Make, workshop: Workshop, archive: FakeArchive, reporter: Remembering, tmp_path: Path
) -> None:
    data = gzip.compress(tar(HELLO))
    (tmp_path / "served/a b").mkdir(parents=True)
    (tmp_path / "served/a b/hello+2.12.tar.gz").write_bytes(data)
    offline = replace(workshop, ecosystems=ecosystems_on(archive, tmp_path / "home", reporter, offline=True))
    with serving(tmp_path / "served") as address:
        folder = make_folder(recipe(data, f"{address}/a%20b/hello%2B2.12.tar.gz"))
        with pytest.raises(WorldFailed, match="is not in the store, and --offline fetches nothing"):
            build_star(folder, offline)
        first = build_star(folder, workshop)
    assert first.manifest.origins[0].name == "hello+2.12.tar.gz"
    assert build_star(folder, offline).packed.data == first.packed.data
    assert build_star(folder, workshop).packed.data == first.packed.data, "no server is asked again"
    blob = tmp_path / "home/store/blobs" / hashlib.sha256(data).hexdigest()[:2] / hashlib.sha256(data).hexdigest()
    blob.chmod(0o644)
    blob.write_bytes(data[:-1] + b"x")
    with pytest.raises(WorldFailed):
        build_star(folder, offline)
    assert "is damaged" in reporter.warnings[-1]


def test_what_comes_from_an_address_and_is_not_what_was_pinned_is_not_kept(
    make_folder: Make, workshop: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served/hello.tar").write_bytes(tar({"a": b""}))
    with serving(tmp_path / "served") as address:
        with pytest.raises(Refused, match=r"names sha256:[0-9a-f]{64}, but the archive is sha256:[0-9a-f]{64}"):
            build_star(make_folder(recipe(tar(HELLO), f"{address}/hello.tar")), workshop)
        with pytest.raises(WorldFailed, match="there is no such file") as caught:
            build_star(make_folder(recipe(tar(HELLO), f"{address}/other.tar")), workshop)
    assert "galaxy" not in f"{caught.value}{caught.value.hint}"
    assert not list((tmp_path / "home").rglob("blobs/*/*"))


@pytest.mark.parametrize("place", ["nowhere.tar", "folder.tar"])
def test_a_path_that_is_no_file_is_said_to_be_none(make_folder: Make, workshop: Workshop, place: str) -> None:
    folder = make_folder(recipe(b"", place))
    (folder / "folder.tar").mkdir()
    with pytest.raises(NoSolution, match="is not there, or is not a plain file"):
        build_star(folder, workshop)


@pytest.mark.parametrize(
    ("bound", "said"),
    [("stellar.tar_archive.MAX_STAR_ARCHIVE_BYTES", "more than 100 bytes"), ("limits.FREE_UNPACKED_BYTES", "too much")],
)
def test_limits_hold(
    make_folder: Make, workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bound: str, said: str
) -> None:
    data = gzip.compress(tar(HELLO))
    monkeypatch.setattr(f"cosmos.{bound}", 100)
    monkeypatch.setattr("cosmos.limits.MAX_UNPACK_RATIO", 0)
    with pytest.raises(Refused, match=said):
        build_star(make_folder(recipe(data, "hello.tar.gz"), {"hello.tar.gz": data}), workshop)
    (tmp_path / "hello.tar.gz").write_bytes(data)
    with serving(tmp_path) as address, pytest.raises(Refused, match=said):
        build_star(make_folder(recipe(data, f"{address}/hello.tar.gz")), workshop)


def test_no_text_after_the_scheme_is_anything_but_an_archive_or_an_error() -> None:
    for text in (
        "tar:",
        "tar:.",
        "tar:a\n.tar",
        "tar:http://[/a.tar",
        "tar:http://x:0/a.tar",
        "tar:http://x/a%2fb.tar",
    ):
        with pytest.raises((ValueError, CosmosError)):
            TarSource.parse(text)
    assert TarSource.parse("tar:../b c.tar.xz").suffix == ".xz"
