"""Published is published: what an index has listed never changes, and what is not listed yet only where asked."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cosmos.errors import Malformed, Refused
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.file_names import file_stem
from cosmos.model.galaxy import GalaxyIndex
from cosmos.stellar import published as module
from cosmos.stellar.add_star import add_star
from cosmos.stellar.build_star import BuiltStar, Workshop, build_star
from cosmos.stellar.galaxy_folder import GalaxyFolder, read_statement
from cosmos.stellar.import_deb import Imported, ImportRequest, import_debs
from cosmos.stellar.index_galaxy import Indexed, index_galaxy
from cosmos.stellar.published import AlreadyThere, Published
from fakes.debs import FakeArchive
from fakes.galaxies import StarSpec, make_galaxy, make_signers, write_index, write_spec
from fakes.reporters import Remembering

RECIPE = 'name = "hello"\nversion = "{}"\nlicense = "MIT"\narch = "{}"\n'
Build = Callable[..., BuiltStar]


@pytest.fixture
def built(make_folder: Callable[..., Path], workshop: Workshop) -> Build:
    def build(text: str = "hello", *, version: str = "1.0.0", arch: str = "any") -> BuiltStar:
        return build_star(make_folder(RECIPE.format(version, arch), {"files/usr/x": text}, name="hello"), workshop)

    return build


def indexed(galaxy: GalaxyFolder, *keys: SecretKey, today: str = "2026.02.03", number: int | None = None) -> Indexed:
    return index_galaxy(galaxy, authors=[], galaxies=keys, today=today, reporter=Remembering(), number=number)


def bytes_of(galaxy: GalaxyFolder) -> dict[str, bytes]:
    return {str(file.relative_to(galaxy.root)): file.read_bytes() for file in galaxy.root.rglob("*") if file.is_file()}


def test_a_published_star_is_refused_with_both_digests_and_nothing_is_touched(
    galaxy: GalaxyFolder, built: Build
) -> None:
    first = add_star(galaxy, built(), ())
    indexed(galaxy)
    before = bytes_of(galaxy)
    other = built("other")
    for unpublished in ("refuse", "replace"):
        with pytest.raises(AlreadyThere) as caught:
            add_star(galaxy, other, (), unpublished=unpublished)
        assert caught.value.exit_code == 4
        assert f"was published in snapshot 1 of {galaxy.root} as {first.statement.archive}" in str(caught.value)
        assert str(caught.value).endswith(f"but this is {other.digest}")
        assert "another version" in str(caught.value.hint)
    assert bytes_of(galaxy) == before


def test_a_withdrawn_star_cannot_come_back_as_another_but_as_itself(galaxy: GalaxyFolder, built: Build) -> None:
    first = add_star(galaxy, built(), ())
    stated = first.statement_file.read_bytes()
    indexed(galaxy)
    add_star(galaxy, built(version="1.1.0"), ())
    for file in (first.archive, first.statement_file):
        file.unlink()
    assert indexed(galaxy).index.seq == 2
    assert [str(row.version) for row in galaxy.index().snapshot] == ["1.1.0"]
    with pytest.raises(AlreadyThere, match="was published in snapshot 1"):
        add_star(galaxy, built("other"), (), unpublished="replace")
    assert add_star(galaxy, built(), ()).statement_file.read_bytes() == stated, "the statement that locks name"


def test_what_no_index_has_listed_is_replaced_only_where_asked(
    galaxy: GalaxyFolder, built: Build, key: Callable[..., SecretKey]
) -> None:
    first = add_star(galaxy, built(), (key("author"),))
    other = built("other")
    with pytest.raises(AlreadyThere) as caught:
        add_star(galaxy, other, ())
    assert (str(first.statement.archive) in str(caught.value), str(other.digest) in str(caught.value)) == (True, True)
    assert "--replace" in str(caught.value.hint)
    second = add_star(galaxy, other, (), unpublished="replace")
    assert (first.replaced, second.replaced) == (None, first.statement.archive)
    assert second.archive.read_bytes() == other.packed.data
    assert not (galaxy.root / "stars/hello-1.0.0.toml.dsse").exists(), "a signature over other bytes must not stay"


def test_the_same_bytes_again_write_nothing(galaxy: GalaxyFolder, built: Build, key: Callable[..., SecretKey]) -> None:
    author = key("author")
    add_star(galaxy, built(), (author,))
    indexed(galaxy)
    before = {file: file.stat().st_mtime_ns for file in galaxy.root.rglob("*") if file.is_file() and file.suffix}
    assert not add_star(galaxy, built(), (author,)).is_new
    assert not indexed(galaxy, today="2027.01.01").is_changed
    assert {file: file.stat().st_mtime_ns for file in before} == before


def test_another_architecture_lies_beside(galaxy: GalaxyFolder, built: Build) -> None:
    for arch in ("x86_64", "aarch64", "any"):
        add_star(galaxy, built(arch, arch=arch), ())
    index = indexed(galaxy).index
    assert [(str(row.arch), row.stem) for row in index.snapshot] == [
        ("aarch64", "hello-1.0.0-aarch64"),
        ("any", "hello-1.0.0"),
        ("x86_64", "hello-1.0.0-x86_64"),
    ]
    for row in index.snapshot:
        statement = read_statement(galaxy.statement_file(row.stem))
        assert (statement.star.arch, statement.archive) == (row.arch, row.archive)
        assert statement.file == f"packages/{row.stem}.tar.zst"
        assert statement.star.source == f"./packages/{row.stem}.tar.zst"
    with pytest.raises(AlreadyThere, match="snapshot 1"):
        add_star(galaxy, built("other", arch="aarch64"), ())


def test_upstream_s_copy_is_the_one_that_its_program_can_use(galaxy: GalaxyFolder, built: Build) -> None:
    for arch in ("aarch64", "x86_64"):
        add_star(galaxy, built(arch, arch=arch), ())
    index = indexed(galaxy).index
    copy = read_statement(galaxy.newest_file(index.snapshot[0].name))
    assert (copy.star.arch, copy.archive) == ("x86_64", index.checksums[copy.star.name])


def test_a_statement_that_was_published_and_then_changed_is_refused(galaxy: GalaxyFolder, built: Build) -> None:
    file = add_star(galaxy, built(), ()).statement_file
    row = indexed(galaxy).index.snapshot[0]
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(Refused, match=f"the index lists {row.statement}, but the file is sha256:"):
        indexed(galaxy)


def test_an_archive_put_there_by_hand_under_a_published_version_is_refused(galaxy: GalaxyFolder, built: Build) -> None:
    added = add_star(galaxy, built(), ())
    indexed(galaxy)
    added.statement_file.unlink()
    added.archive.write_bytes(built("other").packed.data)
    with pytest.raises(AlreadyThere, match="was published in snapshot 1"):
        indexed(galaxy)


def test_two_stars_whose_files_would_have_one_name_are_refused(
    galaxy: GalaxyFolder, make_folder: Callable[..., Path], workshop: Workshop
) -> None:
    """`a-1.0.0` in version `2.0.0` and `a` in its pre-release `1.0.0-2.0.0` cannot be told by their files' names."""
    pairs = (("a-1.0.0", "2.0.0"), ("a", "1.0.0-2.0.0"))
    one, other = (
        build_star(make_folder(f'name = "{name}"\nversion = "{version}"\n', {"files/x": name}, name=name), workshop)
        for name, version in pairs
    )
    add_star(galaxy, one, ())
    with pytest.raises(AlreadyThere, match=r"it names a-1\.0\.0 2\.0\.0 for any"):
        add_star(galaxy, other, (), unpublished="replace")
    row = '[[snapshot]]\nname = "{}"\nversion = "{}"\narch = "any"\nstatement = "{}"\narchive = "{}"\n'
    digest = "sha256:" + "0" * 64
    text = 'format = 2\nname = "g"\nseq = 1\n' + "".join(row.format(*pair, digest, digest) for pair in pairs)
    with pytest.raises(Malformed, match=r"a-1\.0\.0 2\.0\.0 and a 1\.0\.0-2\.0\.0 have files of one name"):
        GalaxyIndex.parse(text.encode(), "x")


def test_a_version_with_an_epoch_has_a_name_that_every_file_system_takes() -> None:
    assert file_stem("less", "1:590-2.1~deb12u2", "x86_64") == "less-1%3a590-2.1~deb12u2-x86_64"


# An old galaxy, of format 1: its rows say no architecture, and its files have no ARCH in their names.


@pytest.fixture
def old(tmp_path: Path) -> GalaxyFolder:
    made = make_galaxy(tmp_path / "old", "core", [], make_signers())
    row = write_spec(made, StarSpec("tool", "1.0.0", {"usr/bin/tool": b"tool"}, arch="x86_64"))
    write_index(made, [row])
    shutil.copy(made.statement("tool-1.0.0"), made.path / "stars/tool.toml")
    return GalaxyFolder(root=made.path)


def test_an_old_galaxy_that_is_unchanged_keeps_its_bytes(old: GalaxyFolder) -> None:
    before = bytes_of(old)
    assert not indexed(old).is_changed
    assert {name: data for name, data in bytes_of(old).items() if name != ".publishing"} == before


def test_an_old_galaxy_is_taken_over_with_its_names_and_becomes_format_2_where_its_maintainer_says_so(
    old: GalaxyFolder, built: Build
) -> None:
    stated = old.statement_file("tool-1.0.0").read_bytes()
    kept = old.snapshot_file(1).read_bytes()
    add_star(old, built(arch="x86_64"), ())
    index = indexed(old, make_signers()["galaxy"], number=2).index
    assert (index.format, index.seq) == (2, 2)
    assert [(row.stem, str(row.arch), row.files) for row in index.snapshot] == [
        ("hello-1.0.0-x86_64", "x86_64", None),
        ("tool-1.0.0", "x86_64", "tool-1.0.0"),
    ]
    assert GalaxyIndex.parse(old.index_file.read_bytes(), "x") == index
    assert old.statement_file("tool-1.0.0").read_bytes() == stated
    assert (old.snapshot_file(1).read_bytes(), GalaxyIndex.parse(kept, "x").format) == (kept, 1)


def test_an_old_galaxy_keeps_its_format_so_that_the_devices_of_its_time_still_read_it(
    old: GalaxyFolder, built: Build
) -> None:
    """A cosmos of that time refuses a row with a key that it does not know. It passes over `[catalogue]`."""
    add_star(old, built(), ())
    done = indexed(old, make_signers()["galaxy"])
    document = tomllib.loads(old.index_file.read_text())
    assert (done.index.format, done.index.seq, "format" in document) == (1, 2, False)
    assert {key for row in document["snapshot"] for key in row} == {"name", "version", "statement", "archive"}
    assert set(document["catalogue"]) == {"digest", "size-bytes"}
    before = bytes_of(old)
    assert not indexed(old, make_signers()["galaxy"], today="2027.01.01").is_changed
    assert bytes_of(old) == before


def test_an_old_galaxy_with_provides_stays_unchanged(tmp_path: Path) -> None:
    made = make_galaxy(tmp_path / "old", "core", [], make_signers())
    write_index(made, [write_spec(made, StarSpec("tool", provides={"awk": "1.0.0"}))])
    folder = GalaxyFolder(root=made.path)
    assert not indexed(folder).is_changed


def test_what_the_old_format_cannot_list_is_refused_before_anything_is_written(old: GalaxyFolder, built: Build) -> None:
    add_star(old, built(arch="x86_64"), ())
    before = bytes_of(old)
    with pytest.raises(Malformed, match="format 1 cannot list a star whose files are called hello-1") as error:
        indexed(old, make_signers()["galaxy"])
    assert "stellar index-galaxy FOLDER --format 2" in str(error.value.hint)
    assert {name: data for name, data in bytes_of(old).items() if name != ".publishing"} == {
        name: data for name, data in before.items() if name != ".publishing"
    }


def test_a_galaxy_that_was_moved_too_early_is_moved_back(galaxy: GalaxyFolder, built: Build) -> None:
    add_star(galaxy, built(), ())
    assert indexed(galaxy).index.format == 2
    back = indexed(galaxy, number=1).index
    assert (back.format, back.seq, back.snapshot[0].arch) == (1, 2, None)
    assert (indexed(galaxy).index.format, indexed(galaxy, number=2).index.format) == (1, 2)


def test_in_an_old_galaxy_a_published_star_is_refused_and_another_architecture_is_not(
    old: GalaxyFolder, make_folder: Callable[..., Path], workshop: Workshop
) -> None:
    def tool(arch: str) -> BuiltStar:
        recipe = f'name = "tool"\nversion = "1.0.0"\nlicense = "MIT"\narch = "{arch}"\n'
        return build_star(make_folder(recipe, {"files/usr/bin/tool": "other"}, name="tool"), workshop)

    with pytest.raises(AlreadyThere, match="was published in snapshot 1"):
        add_star(old, tool("x86_64"), ())
    assert add_star(old, tool("aarch64"), ()).statement_file.name == "tool-1.0.0-aarch64.toml"
    assert [row.stem for row in indexed(old, make_signers()["galaxy"], number=2).index.snapshot] == [
        "tool-1.0.0-aarch64",
        "tool-1.0.0",
    ]


def test_a_format_that_nobody_knows_yet_is_refused() -> None:
    with pytest.raises(Malformed, match="format: want at most 2, got 3: this galaxy is for a newer cosmos"):
        GalaxyIndex.parse(b'format = 3\nname = "g"\n', "x")


def test_rows_in_another_form_are_read_as_well(galaxy: GalaxyFolder, built: Build) -> None:
    """Snapshots are read by the form in which we write rows; what somebody wrote otherwise counts all the same."""
    star = built()
    add_star(galaxy, star, ())
    indexed(galaxy)
    for file in (galaxy.index_file, galaxy.snapshot_file(1)):
        text = file.read_text()
        assert '\nversion = "1.0.0"\n' in text
        file.write_text(text.replace('\nversion = "1.0.0"\n', "\nversion = '1.0.0'\n"))
    assert [one.seq for one in Published(galaxy).of(star.manifest, 1)] == [1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('archive = "sha256:', 'archive = "sha1:', "a row of [[snapshot]] is malformed: want "),
        ("archive = ", "archiv = ", "a row of [[snapshot]] has no 'archive'"),
        ("name = ", "nome = ", "a row of [[snapshot]] has no 'name'"),
    ],
)
def test_a_snapshot_whose_row_cannot_be_read_is_named_and_nothing_is_published(
    galaxy: GalaxyFolder, built: Build, old: str, new: str, said: str
) -> None:
    for number in range(2):
        add_star(galaxy, built(version=f"1.{number}.0"), ())
        indexed(galaxy)
    file = galaxy.snapshot_file(1)
    head, mark, rows = file.read_text().partition("[[snapshot]]")
    assert old in rows
    file.write_text(head + mark + rows.replace(old, new))
    before = bytes_of(galaxy)
    with pytest.raises(Malformed) as caught:
        add_star(galaxy, built(version="1.2.0"), ())
    assert str(caught.value).startswith(f"{file}: {said}")
    assert caught.value.hint == "restore the file as it was published"
    assert bytes_of(galaxy) == before


# Importing.


def imported(archive: FakeArchive, galaxy: GalaxyFolder, *packages: str) -> Imported:
    order = ImportRequest(packages=packages, architecture="amd64", scope="closure", level=3, workers=2)
    return import_debs(order, archive, galaxy, (), Remembering())


def test_importing_one_more_package_never_rewrites_another(archive: FakeArchive, galaxy: GalaxyFolder) -> None:
    archive.add("mailer", depends="mta-a | mta-b")
    archive.add("mta-a")
    archive.add("mta-b")
    imported(archive, galaxy, "mailer")
    indexed(galaxy)
    before = bytes_of(galaxy)
    done = imported(archive, galaxy, "mailer", "mta-b")
    assert (done.refused, done.failed) == ({}, {})
    after = bytes_of(galaxy)
    assert {name: after[name] for name in before} == before
    assert {name for name in after.keys() - before.keys() if "mta-b" not in name} == set()
    assert [one.archive.is_file() for one in done.stars] == [True] * len(done.stars)


def test_another_package_under_a_published_version_is_refused_with_both_digests(
    archive: FakeArchive, galaxy: GalaxyFolder
) -> None:
    archive.add("app", {"usr/share/app": b"one"}, version="1.0-1")
    (first,) = imported(archive, galaxy, "app").stars
    row = indexed(galaxy).index.snapshot[0]
    before = bytes_of(galaxy)
    archive.add("app", {"usr/share/app": b"two"}, version="1.0-1")
    done = imported(archive, galaxy, "app")
    assert (done.stars, list(done.refused), str(row.archive) in done.refused["app"]) == ((), ["app"], True)
    assert first.archive.is_file()
    assert bytes_of(galaxy) == before


def test_a_row_is_read_once_however_many_indexes_have_it(galaxy: GalaxyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def row(name: str, digit: str) -> str:
        digests = "".join(f'{key} = "sha256:{digit * 64}"\n' for key in ("statement", "archive"))
        return f'[[snapshot]]\nname = "{name}"\nversion = "1.0.0"\narch = "any"\n{digests}\n'

    same, other, late = row("same", "1"), row("other", "2"), row("late", "4")
    snapshots = [same + other, same + row("other", "3"), same + other + late]
    for number, rows in enumerate(snapshots, start=1):
        file = galaxy.snapshot_file(number)
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'name = "core"\n\n{rows}'.rstrip("\n") + "\n")
    seen: list[int] = []
    new_rows = module._new_rows

    def counted(data: bytes, source: str, known: set[bytes]) -> list[Mapping[str, str]]:
        found = [*new_rows(data, source, known)]
        seen.append(len(found))
        return found

    monkeypatch.setattr(module, "_new_rows", counted)
    published = Published(galaxy)
    published._read(4)
    assert seen[:3] == [2, 1, 1]
    everything = Published(galaxy)
    monkeypatch.setattr(module, "_new_rows", lambda data, source, _known: new_rows(data, source, set()))
    everything._read(4)
    assert published._stars == everything._stars
    listed = {name: [(one.seq, one.archive[7]) for one in found] for (name, _), found in published._stars.items()}
    assert listed == {"same": [(1, "1")], "other": [(1, "2"), (2, "3")], "late": [(3, "4")]}
