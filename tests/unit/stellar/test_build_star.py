"""A star's archive is made of its source folder and nothing else: the same input gives the same bytes."""

from __future__ import annotations

import os
import re
import socket
import tarfile
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.debian.apt import AptRecord
from cosmos.debian.ecosystem import Debian
from cosmos.errors import Malformed, NoSolution, Refused, ScriptFailed, WorldFailed
from cosmos.model.names import Arch
from cosmos.stellar.build_star import BuiltStar, Workshop, build_star, fetch_ahead
from cosmos.tables import Table
from cosmos.tree.ecosystem import Asked
from fakes.debs import MTIME, FakeArchive
from fakes.modules import make_module
from fakes.reporters import Remembering

HELLO = 'name = "hello"\nversion = "1.0.0"\nlicense = "MIT"\n'
OF_DEB = 'name = "hello"\nsource = "deb:hello"\n'
Make = Callable[..., Path]


def tree(built: BuiltStar) -> dict[str, str]:
    return {entry.path.text: f"{entry.kind} {entry.mode:04o}" for entry in built.entries}


def content(built: BuiltStar, path: str) -> bytes:
    return next(bytes(entry.content) for entry in built.entries if entry.path.text == path)


def test_own_files_become_a_star(make_folder: Make, workshop: Workshop) -> None:
    folder = make_folder(HELLO, {"files/usr/bin/hello": "#!/bin/sh\n", "files/etc/hello.conf": "x\n", "NOTES": "-"})
    (folder / "files/usr/bin/hello").chmod(0o755)
    (folder / "files/usr/bin/hi").symlink_to("hello")
    built = build_star(folder, workshop)
    assert built.file_name == "hello-1.0.0.tar.zst"
    assert built.manifest.source == "./packages/hello-1.0.0.tar.zst"
    assert tree(built) == {
        "etc": "dir 0755",
        "etc/hello.conf": "file 0644",
        "usr": "dir 0755",
        "usr/bin": "dir 0755",
        "usr/bin/hello": "file 0755",
        "usr/bin/hi": "symlink 0777",
    }


def test_times_umask_and_owners_of_the_checkout_have_no_say(make_folder: Make, workshop: Workshop) -> None:
    folder = make_folder(HELLO, {"files/a": "a", "files/d/b": "b"})
    first = build_star(folder, workshop)
    os.utime(folder / "files/a", (1, 1))
    (folder / "files/a").chmod(0o600)
    (folder / "files/d").chmod(0o700)
    assert build_star(folder, workshop).packed.data == first.packed.data


def test_a_package_gives_version_architecture_description_and_licence(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    copyright_file = b"Format: x\n\nFiles: *\nLicense: Expat\n"
    files = {"usr/bin/hello": b"hello", "usr/share/doc/hello/copyright": copyright_file}
    record = archive.add("hello", files, version="1:2.10-3+b1", description="says hello", scripts=("postinst",))
    built = build_star(make_folder(OF_DEB), workshop)
    star = built.manifest
    assert (str(star.version), star.arch, star.description, star.license) == (
        "1:2.10-3+b1",
        "x86_64",
        "says hello",
        "MIT",
    )
    (origin,) = star.origins
    assert (origin.name, origin.version, origin.digest) == ("hello", "1:2.10-3+b1", record.digest)
    assert built.unrun == ("hello: postinst",)


def test_a_package_for_all_machines_makes_a_star_for_any(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    archive.add("hello", architecture="all")
    assert build_star(make_folder(OF_DEB), workshop).manifest.arch == "any"


def test_the_same_package_gives_the_same_bytes(make_folder: Make, workshop: Workshop, archive: FakeArchive) -> None:
    archive.add("hello")
    one, other = make_folder(OF_DEB), make_folder(OF_DEB, name="elsewhere")
    assert build_star(one, workshop).packed.data == build_star(other, workshop).packed.data


def test_only_and_exclude_choose_and_folders_keep_their_modes(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    private = tarfile.TarInfo("./var/lib/hello")
    private.type, private.mode = tarfile.DIRTYPE, 0o750
    files = {"usr/bin/hello": b"", "usr/share/man/x": b"", "usr/share/doc/x": b"", "var/lib/hello": private}
    archive.add("hello", {"usr": None, "usr/bin": None, "usr/share": None, **files})
    unpack = '[unpack]\nonly = ["usr", "var/**"]\nexclude = ["usr/share/man/**"]\n'
    assert tree(build_star(make_folder(OF_DEB + unpack), workshop)) == {
        "usr": "dir 0755",
        "usr/bin": "dir 0755",
        "usr/bin/hello": "file 0755",
        "usr/share": "dir 0755",
        "usr/share/doc/x": "file 0644",
        "var/lib/hello": "dir 0750",
    }


@pytest.mark.parametrize(
    ("unpack", "said"),
    [
        ('only = ["usr/bin", "usr/lib"]', "only: usr/lib"),
        ('exclude = ["usr/share/doc/**"]', "exclude: usr/share/doc/**"),
        ('rename = { "bin/hello" = "usr/bin/hello" }', "rename: bin/hello"),
    ],
)
def test_what_a_recipe_s_unpack_does_not_match_is_refused_and_no_star_is_made(
    make_folder: Make, workshop: Workshop, archive: FakeArchive, unpack: str, said: str
) -> None:
    archive.add("hello")
    with pytest.raises(NoSolution, match=rf"^hello: unpack\.{re.escape(said)} matches nothing in hello$"):
        build_star(make_folder(f"{OF_DEB}[unpack]\n{unpack}\n"), workshop)


def test_all_that_matches_nothing_is_told_at_once(make_folder: Make, workshop: Workshop, archive: FakeArchive) -> None:
    archive.add("hello")
    unpack = '[unpack]\nonly = ["usr/bin", "lib/a"]\nexclude = ["lib/b", "lib/c"]\n'
    with pytest.raises(NoSolution, match=r"only: lib/a matches .* \(and 2 more: exclude: lib/b; exclude: lib/c\)"):
        build_star(make_folder(OF_DEB + unpack), workshop)


def test_a_star_with_nothing_kept_of_its_packages_is_refused(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    archive.add("hello")
    with pytest.raises(NoSolution, match=r"hello: \[unpack\] keeps nothing of its packages"):
        build_star(make_folder(OF_DEB + '[unpack]\nexclude = ["usr"]\n'), workshop)


def test_the_packages_of_many_stars_are_fetched_at_once_and_a_wrong_recipe_waits_for_its_turn(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    calls: list[list[str]] = []

    class Counting(FakeArchive):
        def fetch(self, records: Iterable[AptRecord]) -> None:
            calls.append([record.name for record in records])

    counting = Counting()
    for name in ("one", "two", "three"):
        counting.add(name)
    shop = replace(workshop, ecosystems={"deb": Debian(lambda _arch, _suite: counting)})  # type: ignore[arg-type]  # an archive in memory, with the interface of apt
    recipe = 'name = "{0}"\nversion = "1.0.0"\ndescription = "x"\nlicense = "MIT"\nsource = [{1}]\n'
    stars = {"one": '"deb:one"', "two": '"deb:two", "deb:one"', "bad": '"deb:gone", "deb:three"', "worse": '"deb:-"'}
    folders = [make_folder(recipe.format(name, sources), name=name) for name, sources in stars.items()]
    fetch_ahead([*folders, folders[0].with_name("missing")], shop)
    assert calls == [["one", "two", "three"]]
    with pytest.raises(NoSolution, match="gone"):
        build_star(folders[2], shop)
    with pytest.raises(Malformed, match="deb:-"):
        build_star(folders[3], shop)


def test_a_package_of_several_stars_is_unpacked_once_and_each_star_may_unpack_as_much_of_it(
    make_folder: Make, workshop: Workshop
) -> None:
    read: list[str] = []

    class Counting(FakeArchive):
        def read(self, record: AptRecord) -> bytes:
            read.append(record.name)
            return super().read(record)

    counting = Counting()
    for name in ("kernel", "less"):
        counting.add(name)
    debian = Debian(lambda _arch, _suite: counting)  # type: ignore[arg-type]  # an archive in memory, with the interface of apt
    shop = replace(workshop, ecosystems={"deb": debian})
    recipe = 'name = "{0}"\nversion = "1.0.0"\ndescription = "x"\nlicense = "MIT"\nsource = "deb:{1}"\n'
    stars = {"a": "kernel", "b": "kernel", "c": "less", "d": "less", "e": "kernel"}
    folders = [make_folder(recipe.format(name, package), name=name) for name, package in stars.items()]
    alone = [build_star(folder, shop).digest for folder in folders]
    assert read == ["kernel", "kernel", "less", "less", "kernel"], "kept, though nobody said that it is wanted again"
    read.clear()
    fetch_ahead(folders, shop)
    assert [build_star(folder, shop).digest for folder in folders] == alone
    assert read == ["kernel", "less", "kernel"], "one package is kept, the last"
    asked = Asked(sources=("deb:kernel",), beside=Table({}, "x"), folder=folders[0], arch=Arch("x86_64"), version=None)
    one, other = (material.read(material.found[0]) for material in (debian.find(asked), debian.find(asked)))
    left = other.budget.left
    one.budget.take(left, "kernel")
    assert (one.budget.left, other.budget.left) == (0, left)


def test_packages_come_from_the_suite_that_the_recipe_names(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    archive.add("hello")
    asked: list[tuple[str, str | None]] = []

    def open_apt(arch: str, suite: str | None) -> FakeArchive:
        asked.append((arch, suite))
        return archive

    noting = replace(workshop, ecosystems={"deb": Debian(open_apt)})
    build_star(make_folder(OF_DEB + 'suite = "bookworm"\n'), noting)
    build_star(make_folder(OF_DEB), noting)
    assert asked == [("x86_64", "bookworm"), ("x86_64", None)]


def test_what_is_being_built_is_said_as_debian_writes_it(
    make_folder: Make, workshop: Workshop, archive: FakeArchive, reporter: Remembering
) -> None:
    archive.add("hello", version="1:2.10-3+b1")
    build_star(make_folder(OF_DEB), replace(workshop, place="star 7 of 25"))
    build_star(make_folder(HELLO, name="own"), replace(workshop, place="star 8 of 25"))
    assert reporter.items == ["star 7 of 25: hello 1:2.10-3+b1", "star 8 of 25: hello 1.0.0"]


def test_rename_moves_a_path_and_all_below_it(make_folder: Make, workshop: Workshop, archive: FakeArchive) -> None:
    archive.add("hello", {"bin": None, "bin/hello": b"1", "lib": None, "lib/x": None, "lib/x/y": b"2", "bin/z": b"3"})
    rename = (
        '[unpack]\nrename = { "bin/hello" = "usr/bin/hi", "lib" = "usr/lib", "lib/x/y" = "etc/y", "bin/z" = "z" }\n'
    )
    assert [
        path for path, what in tree(build_star(make_folder(OF_DEB + rename), workshop)).items() if "file" in what
    ] == [
        "etc/y",
        "usr/bin/hi",
        "z",
    ]


def test_a_hard_link_whose_file_is_left_out_becomes_the_file(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    def link(name: str) -> tarfile.TarInfo:
        info = tarfile.TarInfo(f"./{name}")
        info.type, info.linkname = tarfile.LNKTYPE, "./a"
        return info

    archive.add("hello", {"a": b"shared", "b": link("b"), "c": link("c")})
    built = build_star(make_folder(OF_DEB + '[unpack]\nexclude = ["a"]\n'), workshop)
    assert content(built, "b") == b"shared"
    assert {entry.path.text: entry.target for entry in built.entries} == {"b": b"", "c": b"b"}


def test_several_packages_are_laid_together_and_two_owners_are_refused_by_name(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    archive.add("hello", {"usr": None, "usr/a": b"1"})
    archive.add("other", {"usr": None, "usr/b": b"2"})
    archive.add("rival", {"usr": None, "usr/a": b"1"})
    recipe = 'name = "hello"\nsource = ["deb:hello", "deb:{}"]\n'
    built = build_star(make_folder(recipe.format("other")), workshop)
    assert list(tree(built)) == ["usr", "usr/a", "usr/b"]
    assert [origin.name for origin in built.manifest.origins] == ["hello", "other"]
    with pytest.raises(NoSolution, match="/usr/a: both the package hello and the package rival bring it"):
        build_star(make_folder(recipe.format("rival")), workshop)


def test_own_files_lie_beside_a_package_s_and_do_not_replace_them(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    archive.add("hello")
    folder = make_folder(OF_DEB, {"files/etc/hello": "mine"})
    built = build_star(folder, workshop)
    assert content(built, "etc/hello") == b"mine"
    assert {entry.mtime for entry in built.entries if entry.path.text.startswith("etc")} == {MTIME}
    make_folder(OF_DEB, {"files/usr/bin/hello": "mine"})
    with pytest.raises(NoSolution, match="/usr/bin/hello: both the package hello and "):
        build_star(folder, workshop)


def test_a_file_below_what_is_no_folder_is_refused(make_folder: Make, workshop: Workshop, archive: FakeArchive) -> None:
    archive.add("hello", {"lib": "usr/lib"})
    archive.add("other", {"lib/x": b""})
    with pytest.raises(
        NoSolution, match=r"/lib/x: the package other brings it below lib, which is a symlink of the pac"
    ):
        build_star(make_folder('name = "hello"\nsource = ["deb:hello", "deb:other"]\n'), workshop)


def test_kernel_modules_bring_what_they_need_and_modules_dep(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    lib = "lib/modules/6.1-cloud"
    files = {
        "boot/vmlinuz": b"kernel",
        f"{lib}/kernel/net/virtio_net.ko": make_module(name="virtio_net", depends="failover,virtio"),
        f"{lib}/kernel/net/failover.ko": make_module(name="failover"),
        f"{lib}/kernel/net/other.ko": make_module(name="other"),
        f"{lib}/modules.builtin": b"kernel/drivers/virtio/virtio.ko\n",
    }
    archive.add("hello", files)
    built = build_star(make_folder(OF_DEB + '[unpack]\nkernel-modules = ["virtio-net"]\n'), workshop)
    assert list(tree(built)) == [
        f"{lib}/kernel/net/failover.ko",
        f"{lib}/kernel/net/virtio_net.ko",
        f"{lib}/modules.alias",
        f"{lib}/modules.builtin",
        f"{lib}/modules.dep",
        f"{lib}/modules.softdep",
    ]
    assert content(built, f"{lib}/modules.dep") == (
        b"kernel/net/failover.ko:\nkernel/net/virtio_net.ko: kernel/net/failover.ko\n"
    )
    with pytest.raises(NoSolution, match="nosuch: the recipe wants this kernel module"):
        build_star(make_folder(OF_DEB + '[unpack]\nkernel-modules = ["nosuch"]\n'), workshop)


BUILDING = HELLO + 'install_script = "install.lua"\n'
INSTALL = 'function install()\n  copy("files/", install_root .. "/")\nend\n'


def test_build_may_run_programs_on_the_maintainer_s_own_sources(make_folder: Make, workshop: Workshop) -> None:
    script = (
        INSTALL
        + 'function build()\n  run{"sh", "-c", "mkdir -p files/usr && tr a-z A-Z <in.txt >files/usr/out"}\nend\n'
    )
    built = build_star(make_folder(BUILDING, {"install.lua": script, "in.txt": "loud"}), workshop)
    assert content(built, "usr/out") == b"LOUD"
    assert "in.txt" not in tree(built)


def test_a_program_of_build_sees_a_fixed_environment(
    make_folder: Make, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    script = INSTALL + 'function build()\n  run{"sh", "-c", "mkdir files; env >files/env"}\nend\n'
    seen = content(build_star(make_folder(BUILDING, {"install.lua": script}), workshop), "env").decode()
    assert "SECRET_TOKEN" not in seen
    assert {"TZ=UTC", "LC_ALL=C.UTF-8", "SOURCE_DATE_EPOCH=0"} <= set(seen.splitlines())


def test_a_program_of_build_that_fails_is_the_script_s_failure_and_its_words_are_told(
    make_folder: Make, workshop: Workshop, reporter: Remembering
) -> None:
    script = INSTALL + 'function build()\n  run{"sh", "-c", "echo no compiler >&2; exit 3"}\nend\n'
    with pytest.raises(ScriptFailed, match="sh ended with status 3") as caught:
        build_star(make_folder(BUILDING, {"install.lua": script}), workshop)
    assert caught.value.hint == "it said: no compiler"
    assert "this machine's own" in reporter.warnings[0]
    missing = INSTALL + 'function build()\n  run{"there-is-no-such-program"}\nend\n'
    with pytest.raises((ScriptFailed, WorldFailed), match="there-is-no-such-program"):
        build_star(make_folder(BUILDING, {"install.lua": missing}), workshop)


def test_owners_and_modes_of_a_package_survive_a_build_that_runs_a_program(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    setuid = tarfile.TarInfo("./usr/bin/su")
    setuid.mode, setuid.uid, setuid.gid, setuid.size = 0o4750, 0, 42, 0
    archive.add("hello", {"usr/bin/su": setuid, "usr/bin/hello": b"hello"})
    script = INSTALL + 'function build()\n  run{"touch", "files/made"}\nend\n'
    built = build_star(make_folder(OF_DEB + 'install_script = "install.lua"\n', {"install.lua": script}), workshop)
    entry = next(entry for entry in built.entries if entry.path == b"usr/bin/su")
    assert (entry.mode, entry.gid, entry.mtime) == (0o4750, 42, MTIME)
    assert {"made", "usr/bin/hello"} <= tree(built).keys()


@pytest.mark.parametrize(
    ("recipe", "files", "said"),
    [
        (HELLO + 'source = "http://example.org/x"\n', {}, r"source\[0\]: want deb:NAME"),
        (HELLO + 'source = "deb:UPPER"\n', {}, r"source\[0\]: want deb:NAME, deb:NAME=VERSION or deb:PACKAGE -> NAME"),
        (HELLO + '[unpack]\nonly = [""]\n', {}, r"unpack\.only\[0\]: want a glob"),
        (HELLO + '[unpack]\nrename = { "a" = "../b" }\n', {}, r"unpack\.rename: '\.\./b'"),
        (HELLO + 'install_script = "install.lua"\n', {}, "install.lua: is not there"),
        (
            HELLO + 'install_script = "../install.lua"\n',
            {},
            "star.toml: install_script: '../install.lua': has the comp",
        ),
        (HELLO + 'type = "nebula"\n', {"files/x": ""}, "is a nebula, which has only dependencies"),
        (HELLO + 'suite = "bookworm"\n', {}, "suite: belongs to packages, but source names no deb:"),
        (
            OF_DEB + 'suite = "stable"\n',
            {},
            "suite: want the code name of a release of Debian, such as bookworm, got 'st",
        ),
        (OF_DEB + 'suite = "bookworm-backports"\n', {}, "suite: want the code name"),
        (HELLO + "colour = 1\n", {}, "colour: unknown key"),
        ('name = "hello"\n', {}, "version: missing"),
    ],
)
def test_a_recipe_that_means_nothing_is_malformed(
    make_folder: Make, workshop: Workshop, recipe: str, files: dict[str, str], said: str
) -> None:
    with pytest.raises(Malformed, match=said):
        build_star(make_folder(recipe, files), workshop)


def test_the_epoch_can_be_given(make_folder: Make, workshop: Workshop) -> None:
    built = build_star(make_folder(HELLO, {"files/a": "a"}), replace(workshop, epoch=1234))
    assert {entry.mtime for entry in built.entries} == {1234}


def test_a_star_that_depends_on_itself_is_not_built(make_folder: Make, workshop: Workshop) -> None:
    with pytest.raises(Malformed, match="hello depends on itself"):
        build_star(make_folder(HELLO + '[dependencies]\nhello = "*"\n', {"files/x": "x"}), workshop)


def test_what_validate_calls_not_good_is_warned_of(make_folder: Make, stellar, tmp_path: Path) -> None:
    folder = make_folder('name = "hello"\nversion = "1.0.0"\n', {"files/x": "x"})
    said = stellar("build-star", folder, "--out", tmp_path).ok().err
    assert "warning" in said
    assert "has no license" in said
    folder = make_folder(HELLO, {"files/x": "x"})
    assert "warning" not in stellar("build-star", folder, "--out", tmp_path).ok().err


LOST: dict[str, tuple[Callable[[Path], object], str]] = {
    "a set-user-ID file": (lambda file: file.chmod(0o4755), "is set-user-ID or set-group-ID .mode 4755."),
    "a set-group-ID file": (lambda file: file.chmod(0o2755), "is set-user-ID or set-group-ID .mode 2755."),
    "a sticky folder": (lambda file: file.parent.chmod(0o1777), "is a folder with a sticky bit"),
    "an extended attribute": (
        lambda file: os.setxattr(file, "user.note", b"x"),
        "has the extended attribute user.note",
    ),
    "a named pipe": (lambda file: os.mkfifo(file.with_name("pipe")), "is not a file, folder or symlink"),
    "a socket": (lambda file: _bind(file.with_name("s")), "is not a file, folder or symlink"),
}


def _bind(place: Path) -> None:
    here = Path.cwd()
    os.chdir(place.parent)  # a socket's path has at most 107 bytes
    try:
        socket.socket(socket.AF_UNIX).bind(place.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("what", LOST)
def test_what_a_star_would_lose_of_its_files_is_refused(make_folder: Make, workshop: Workshop, what: str) -> None:
    folder = make_folder(HELLO, {"files/usr/x": "x"})
    lose, said = LOST[what]
    try:
        lose(folder / "files/usr/x")
    except OSError as error:
        pytest.skip(f"this file system keeps none: {error}")
    with pytest.raises(Malformed, match=said):
        build_star(folder, workshop)


def test_a_set_group_id_folder_of_a_shared_checkout_is_no_fault(make_folder: Make, workshop: Workshop) -> None:
    folder = make_folder(HELLO, {"files/usr/x": "x"})
    (folder / "files/usr").chmod(0o2775)
    assert tree(build_star(folder, workshop))["usr"] == "dir 0755"


@pytest.mark.parametrize("kind", ["link", "file"])
def test_files_that_is_no_folder_is_refused_and_not_an_empty_star(
    make_folder: Make, workshop: Workshop, kind: str
) -> None:
    folder = make_folder(HELLO, {"elsewhere/usr/x": "x"})
    if kind == "link":
        (folder / "files").symlink_to("elsewhere")
    else:
        (folder / "files").write_text("x")
    with pytest.raises(Malformed, match="files: want a folder"):
        build_star(folder, workshop)


def test_files_that_no_image_can_hold_are_refused_before_they_are_read(make_folder: Make, workshop: Workshop) -> None:
    folder = make_folder(HELLO, {"files/a": "", "files/b": ""})
    for name in ("a", "b"):
        os.truncate(folder / "files" / name, 3 << 30)  # holes: they take no room here
    tracemalloc.start()
    try:
        with pytest.raises(
            Malformed, match=r"have more than 4294967295 \(MAX_FRAME_BYTES\) bytes, which no image can hold"
        ):
            build_star(folder, workshop)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_star_that_its_readers_would_take_for_a_bomb_is_refused_when_it_is_built(
    make_folder: Make, workshop: Workshop
) -> None:
    folder = make_folder(HELLO, {"files/zeros": ""})
    os.truncate(folder / "files/zeros", 72 << 20)
    with pytest.raises(Refused, match=r"unpacks to 75500544, the limit for its size is"):
        build_star(folder, workshop)


def test_two_paths_that_are_renamed_to_one_are_refused(
    make_folder: Make, workshop: Workshop, archive: FakeArchive
) -> None:
    archive.add("hello", {"usr/a": b"1", "usr/b": b"2"})
    with pytest.raises(NoSolution, match=r"/usr/c: two paths of .*hello are renamed to it") as said:
        build_star(make_folder(OF_DEB + '[unpack]\nrename = { "usr/a" = "usr/c", "usr/b" = "usr/c" }\n'), workshop)
    assert said.value.hint == "correct [unpack] rename"


@pytest.mark.parametrize("versions", [(), ("6.1-cloud", "6.2-cloud")], ids=["none", "two"])
def test_kernel_modules_lie_in_one_folder_or_are_refused(
    make_folder: Make, workshop: Workshop, archive: FakeArchive, versions: tuple[str, ...]
) -> None:
    modules = {f"lib/modules/{one}/kernel/net/failover.ko": make_module(name="failover") for one in versions}
    archive.add("hello", {"boot/vmlinuz": b"kernel", **modules})
    said = f"hello: want one folder lib/modules/VERSION with kernel modules, got {len(versions)}"
    with pytest.raises(NoSolution, match=said) as caught:
        build_star(make_folder(OF_DEB + '[unpack]\nkernel-modules = ["failover"]\n'), workshop)
    assert str(caught.value.hint).startswith("leave [unpack] kernel-modules out, or ")
