"""A galaxy's folder: stated, indexed, signed; what has not changed keeps its bytes."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.errors import Malformed, Refused, WorldFailed
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.names import GalaxyName
from cosmos.model.statement import Statement
from cosmos.model.version import Version
from cosmos.pack.star_archive import read_star
from cosmos.reading import envelope_of
from cosmos.stellar import index_galaxy as index_galaxy_module
from cosmos.stellar.add_star import add_star
from cosmos.stellar.archive_file import ArchiveFile
from cosmos.stellar.build_star import BuiltStar, Workshop, build_star
from cosmos.stellar.catalogues import newest
from cosmos.stellar.galaxy_folder import GalaxyFolder, content_of
from cosmos.stellar.galaxy_init import init_galaxy
from cosmos.stellar.index_galaxy import Indexed, index_galaxy, sign_galaxy
from cosmos.stellar.signing import sign_file, sign_files
from cosmos.trust.dsse import Envelope, verify_envelope
from cosmos.trust.roles import GALAXY_TYPE, STAR_TYPE
from fakes.huge_files import HUGE_BYTES, grow, hash_no_huge_file
from fakes.reporters import Remembering

RECIPE = 'name = "{}"\nversion = "{}"\nlicense = "MIT"\n'
Make = Callable[..., Path]
MakeKey = Callable[..., SecretKey]


@pytest.fixture
def built(make_folder: Make, workshop: Workshop) -> Callable[..., BuiltStar]:
    def build(name: str = "hello", version: str = "1.0.0", text: str = "hello") -> BuiltStar:
        return build_star(make_folder(RECIPE.format(name, version), {"files/usr/x": text}, name=name), workshop)

    return build


def indexed(galaxy: GalaxyFolder, *keys: SecretKey, today: str = "2026.02.03") -> Indexed:
    return index_galaxy(
        galaxy,
        authors=[key for key in keys if key.role == "author"],
        galaxies=[key for key in keys if key.role == "galaxy"],
        today=today,
        reporter=Remembering(),
    )


def bytes_of(galaxy: GalaxyFolder) -> dict[str, bytes]:
    return {str(file.relative_to(galaxy.root)): file.read_bytes() for file in galaxy.root.rglob("*") if file.is_file()}


def test_a_new_galaxy_is_empty_and_is_not_begun_twice(galaxy: GalaxyFolder) -> None:
    assert galaxy.index().seq == 0
    with pytest.raises(Malformed, match="is there already"):
        init_galaxy(galaxy.root, GalaxyName("other"), "", "2026.01.01")


def test_a_star_s_statement_says_what_its_archive_holds(galaxy: GalaxyFolder, built: Callable[..., BuiltStar]) -> None:
    star = built()
    added = add_star(galaxy, star, ())
    statement = Statement.parse(added.statement_file.read_bytes(), "x")
    data = (galaxy.root / statement.file).read_bytes()
    assert data == star.packed.data
    contents = read_star(data, statement.file, statement.unpacked_bytes, script_name="")
    assert content_of(tuple(contents.files.values())) == statement.content
    assert (statement.galaxy, statement.seq, statement.size_bytes) == ("core", 1, len(data))


def test_an_index_lists_every_version_and_names_the_newest(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar]
) -> None:
    for name, version in (("b", "1.0.0"), ("a", "1.9.0"), ("a", "1.10.0"), ("a", "2.0.0-rc.1")):
        add_star(galaxy, built(name, version), ())
    done = indexed(galaxy)
    index = GalaxyIndex.parse(galaxy.index_file.read_bytes(), "meta.toml")
    assert (done.index.seq, index.version) == (1, "2026.02.03")
    assert [f"{row.name} {row.version}" for row in index.snapshot] == [
        "a 1.9.0",
        "a 1.10.0",
        "a 2.0.0-rc.1",
        "b 1.0.0",
    ]
    assert {str(name): str(version) for name, version in index.newest.items()} == {"a": "1.10.0", "b": "1.0.0"}
    assert galaxy.snapshot_file(1).read_bytes() == galaxy.index_file.read_bytes()
    assert (galaxy.root / "stars/a.toml").read_bytes() == (galaxy.root / "stars/a-1.10.0.toml").read_bytes()


def test_an_unchanged_galaxy_keeps_its_bytes(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey
) -> None:
    keys = (key("author"), key("galaxy"))
    add_star(galaxy, built(), keys[:1])
    first = indexed(galaxy, *keys)
    before = bytes_of(galaxy)
    add_star(galaxy, built(), keys[:1])
    again = indexed(galaxy, *keys, today="2027.01.01")
    assert (first.is_changed, again.is_changed, again.signed) == (True, False, 0)
    assert bytes_of(galaxy) == before


def test_an_edited_index_gets_the_next_number_and_is_never_signed_under_its_own(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey
) -> None:
    """Other bytes under a number that readers have seen are a fork to them: they would refuse the galaxy for ever."""
    add_star(galaxy, built(), ())
    galaxy_key = key("galaxy")
    indexed(galaxy, galaxy_key)
    published = galaxy.snapshot_file(1).read_bytes()
    for number, text in enumerate((b'description = "better"', b"# a comment", b'description = "best"'), 2):
        lines = galaxy.index_file.read_bytes().splitlines()
        at = next((place for place, line in enumerate(lines) if line.startswith(b"description")), 0)
        lines[at : at + text.startswith(b"desc")] = [text]
        galaxy.index_file.write_bytes(b"\n".join(lines) + b"\n")
        with pytest.raises(Refused, match=f"was edited after it was published as seq {number - 1}"):
            sign_galaxy(galaxy, authors=[], galaxies=[galaxy_key], reporter=Remembering())
        done = indexed(galaxy, galaxy_key)
        assert (done.index.seq, done.is_changed) == (number, True)
        assert (
            Envelope.parse(envelope_of(galaxy.index_file).read_bytes(), "x").payload == galaxy.index_file.read_bytes()
        )
        assert not indexed(galaxy, galaxy_key).is_changed
    assert galaxy.index().description == "best"
    assert galaxy.snapshot_file(1).read_bytes() == published


def test_an_index_decompresses_only_the_archive_that_is_new(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was stated before is hashed again and not opened. So an index costs what changed."""
    for name in ("a", "b", "c"):
        add_star(galaxy, built(name), ())
    indexed(galaxy)
    opened: list[str] = []
    whole = index_galaxy_module.open_archive

    def listening(file: Path) -> ArchiveFile:
        opened.append(file.name)
        return whole(file)

    monkeypatch.setattr(index_galaxy_module, "open_archive", listening)
    assert not indexed(galaxy).is_changed
    assert opened == []
    added = add_star(galaxy, built("d"), ())
    added.statement_file.unlink()
    assert indexed(galaxy).is_changed
    assert opened == [added.archive.name]


def test_an_index_parses_each_statement_once(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = (key("author"), key("galaxy"))
    for name in ("a", "b-c", "d"):
        add_star(galaxy, built(name), keys[:1])
    indexed(galaxy, *keys)
    parsed: list[str] = []
    whole = Statement.parse.__func__  # type: ignore[attr-defined]  # of a classmethod

    def listening(cls: type[Statement], data: bytes, source: str) -> Statement:
        parsed.append(Path(source).name)
        return whole(cls, data, source)

    monkeypatch.setattr(Statement, "parse", classmethod(listening))
    assert not indexed(galaxy, *keys).is_changed
    assert len(parsed) == 3


def test_a_bad_signature_of_the_author_in_an_envelope_is_made_again(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey
) -> None:
    author, other, index_key = key("author", "one"), key("author", "other"), key("galaxy")
    file = add_star(galaxy, built(), (author, other)).statement_file
    indexed(galaxy, author, index_key)
    good = Envelope.parse(envelope_of(file).read_bytes(), "x")
    spoilt = [replace(one, raw=b"\x01" * 64) if one.keyid == author.public.id else one for one in good.signatures]
    envelope_of(file).write_bytes(replace(good, signatures=tuple(spoilt)).to_bytes())
    assert indexed(galaxy, author, index_key).signed == 1
    assert Envelope.parse(envelope_of(file).read_bytes(), "x") == good


def test_each_change_raises_the_sequence_and_earlier_snapshots_stay(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar]
) -> None:
    add_star(galaxy, built(), ())
    indexed(galaxy)
    first = galaxy.snapshot_file(1).read_bytes()
    added = add_star(galaxy, built(version="1.1.0"), ())
    assert (indexed(galaxy).index.seq, added.statement.seq) == (2, 2)
    assert galaxy.snapshot_file(1).read_bytes() == first
    (galaxy.packages / "hello-1.1.0.tar.zst").unlink()
    done = indexed(galaxy)
    assert (done.index.seq, [str(row.version) for row in done.index.snapshot]) == (3, ["1.0.0"])


def test_an_archive_that_is_not_the_stated_one_is_refused(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar]
) -> None:
    add_star(galaxy, built(), ())
    indexed(galaxy)
    (galaxy.packages / "hello-1.0.0.tar.zst").write_bytes(built(text="other").packed.data)
    with pytest.raises(Refused, match=r"hello-1\.0\.0\.tar\.zst: its statement names sha256:"):
        indexed(galaxy)


def test_a_packages_folder_that_is_away_withdraws_nothing(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey
) -> None:
    """A disk that was not mounted, or a slip of `mv`, published an index of no stars, signed, with exit 0."""
    keys = (key("author"), key("galaxy"))
    add_star(galaxy, built(), keys[:1])
    indexed(galaxy, *keys)
    before = galaxy.index_file.read_bytes()
    galaxy.packages.rename(galaxy.root / "away")
    with pytest.raises(Malformed, match=r"packages: is not there, but the index lists 1 version$") as told:
        indexed(galaxy, *keys)
    assert told.value.hint is not None and f"mkdir {galaxy.packages}" in told.value.hint
    galaxy.packages.write_bytes(b"")
    with pytest.raises(WorldFailed, match="packages: not a directory, but a file"):
        indexed(galaxy, *keys)
    galaxy.packages.unlink()
    galaxy.packages.symlink_to("nowhere")
    with pytest.raises(WorldFailed, match="not a directory, but a link to nowhere, where nothing is"):
        indexed(galaxy, *keys)
    assert galaxy.index_file.read_bytes() == before
    galaxy.packages.unlink()
    galaxy.packages.mkdir()
    assert indexed(galaxy, *keys).withdrawn == ("hello-1.0.0",)


def test_what_is_withdrawn_is_named(galaxy: GalaxyFolder, built: Callable[..., BuiltStar]) -> None:
    for version in ("1.0.0", "1.1.0"):
        add_star(galaxy, built("hello", version), ())
    assert indexed(galaxy).withdrawn == ()
    (galaxy.packages / "hello-1.0.0.tar.zst").unlink()
    assert indexed(galaxy).withdrawn == ("hello-1.0.0",)
    assert indexed(galaxy).withdrawn == ()


def test_an_archive_that_is_far_too_large_is_not_read(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_no_huge_file(monkeypatch)
    add_star(galaxy, built(), ())
    archive = galaxy.packages / "hello-1.0.0.tar.zst"
    archive.chmod(0o644)
    grow(archive)
    with pytest.raises(Refused, match=f"its statement names [0-9]+ bytes, but the file has {HUGE_BYTES}"):
        indexed(galaxy)


def test_an_archive_behind_a_link_is_warned_of(galaxy: GalaxyFolder, built: Callable[..., BuiltStar]) -> None:
    """`cosmos build` refuses it in a folder, so that the index seemed right and no build was."""
    add_star(galaxy, built(), ())
    archive = galaxy.packages / "hello-1.0.0.tar.zst"
    archive.rename(galaxy.root / "kept")
    archive.symlink_to("../kept")
    reporter = Remembering()
    index_galaxy(galaxy, authors=[], galaxies=[], today="2026.02.03", reporter=reporter)
    assert any(f"{archive}: is a link" in text for text in reporter.warnings)


def test_an_archive_that_was_put_there_by_hand_is_stated_from_its_star_toml(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar]
) -> None:
    star = built()
    by_hand = init_galaxy(galaxy.root / "by-hand", GalaxyName("core"), "", "2026.01.02")
    star.write(by_hand.packages)
    add_star(galaxy, star, ())
    assert indexed(by_hand).stated == ("hello-1.0.0.tar.zst",)
    assert (by_hand.root / "stars/hello-1.0.0.toml").read_bytes() == (
        galaxy.root / "stars/hello-1.0.0.toml"
    ).read_bytes()


def test_an_archive_under_another_name_than_its_own_is_malformed(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar]
) -> None:
    built().write(galaxy.packages).rename(galaxy.packages / "hello-2.0.0.tar.zst")
    with pytest.raises(Malformed, match=r"its star\.toml says hello-1\.0\.0"):
        indexed(galaxy)


def test_two_statements_of_one_star_are_refused_with_both_names(
    galaxy: GalaxyFolder, make_folder: Make, workshop: Workshop
) -> None:
    """An archive may be called with the machine that it is for, or without: two files then say the same star."""
    recipe = RECIPE.format("hello", "1.0.0") + 'arch = "x86_64"\n'
    star = build_star(make_folder(recipe, {"files/usr/x": "x"}, name="hello"), workshop)
    archive = star.write(galaxy.packages)
    indexed(galaxy)
    before = galaxy.index_file.read_bytes()
    shutil.copy2(archive, archive.with_name("hello-1.0.0.tar.zst"))
    with pytest.raises(Refused, match="states the same star: remove one of the two") as refused:
        indexed(galaxy)
    named = {Path(refused.value.where).name, Path(refused.value.problem.split(" ")[0]).name}
    assert named == {"hello-1.0.0.toml", "hello-1.0.0-x86_64.toml"}
    assert galaxy.index_file.read_bytes() == before


def test_what_is_no_archive_of_a_star_is_named(galaxy: GalaxyFolder, tmp_path: Path) -> None:
    with pytest.raises(Malformed, match=r"want a name that ends in .tar.zst or .tar.gz, got hello.zip"):
        index_galaxy_module.state_archive(tmp_path / "hello.zip", GalaxyName("core"), 1)
    bare = galaxy.root / "packages" / "hello-1.0.0.tar.gz"
    bare.parent.mkdir(exist_ok=True)
    with tarfile.open(bare, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("usr/x"))
    with pytest.raises(Malformed, match=r"hello-1.0.0.tar.gz: has no star.toml, so its name and version are unknown"):
        indexed(galaxy)


def test_an_archive_that_the_index_lists_and_that_is_gone_is_not_signed(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey
) -> None:
    add_star(galaxy, built(), ())
    indexed(galaxy)
    (archive,) = (galaxy.root / "packages").iterdir()
    archive.unlink()
    with pytest.raises(Refused, match="is not there, but the index lists it") as refused:
        sign_galaxy(galaxy, authors=[], galaxies=[key("galaxy")], reporter=Remembering())
    assert refused.value.where == str(archive)
    assert "stellar index-galaxy" in (refused.value.hint or "")
    assert not envelope_of(galaxy.index_file).exists()


def test_documents_are_signed_by_the_role_that_signs_them(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey
) -> None:
    author, index_key = key("author"), key("galaxy")
    added = add_star(galaxy, built(), (author,))
    indexed(galaxy, index_key)
    for file, kind, signer in (
        (added.statement_file, STAR_TYPE, author),
        (galaxy.index_file, GALAXY_TYPE, index_key),
        (galaxy.snapshot_file(1), GALAXY_TYPE, index_key),
    ):
        envelope = file.with_name(file.name + ".dsse").read_bytes()
        verified = verify_envelope(envelope, payload_type=kind, keys=[signer.public], threshold=1, source="x")
        assert verified.payload == file.read_bytes()
    with pytest.raises(Refused, match="has the role galaxy, which does not sign"):
        sign_file(added.statement_file, index_key)


def test_a_second_signature_is_added_and_a_repeated_one_is_not(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey
) -> None:
    file = add_star(galaxy, built(), ()).statement_file
    one, other = key("author", "one"), key("author", "other")
    assert [sign_file(file, signer) for signer in (one, other, one)] == [True, True, False]
    envelope = Envelope.parse((file.with_name(file.name + ".dsse")).read_bytes(), "x")
    assert {row.keyid for row in envelope.signatures} == {one.public.id, other.public.id}
    assert sign_files([file], [one, other]).already == 1


def test_an_envelope_over_other_bytes_is_not_added_to(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey
) -> None:
    file = add_star(galaxy, built(), ()).statement_file
    one, other = key("author", "one"), key("author", "other")
    sign_file(file, one)
    file.write_bytes(file.read_bytes() + b"\n")
    sign_file(file, other)
    envelope = Envelope.parse((file.with_name(file.name + ".dsse")).read_bytes(), "x")
    assert [row.keyid for row in envelope.signatures] == [other.public.id]


def test_what_is_no_document_of_ours_is_not_signed(tmp_path: Path, key: MakeKey) -> None:
    for text in ("a = 1\n", "seq = 1\n", "not toml"):
        (tmp_path / "x.toml").write_text(text)
        with pytest.raises(Malformed):
            sign_files([tmp_path / "x.toml"], [key("galaxy")])


def test_a_document_that_no_key_fits_is_named_with_the_role_it_wants(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey
) -> None:
    file = add_star(galaxy, built(), ()).statement_file
    with pytest.raises(Malformed, match="want a key of the role author to sign it, got galaxy"):
        sign_files([file], [key("galaxy")])


def test_the_newest_version_is_a_pre_release_only_where_there_is_nothing_else() -> None:
    parse = Version.parse
    assert newest([parse("1.0.0"), parse("2.0.0-rc.1")]) == parse("1.0.0")
    assert newest([parse("1.0.0-rc.1"), parse("1.0.0-rc.2")]) == parse("1.0.0-rc.2")


def test_a_star_for_another_galaxy_is_stated_for_this_one(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], tmp_path: Path
) -> None:
    other = init_galaxy(tmp_path / "other", GalaxyName("other"), "", "2026.01.02")
    star = replace(built())
    assert [add_star(where, star, ()).statement.galaxy for where in (galaxy, other)] == ["core", "other"]


def test_a_signature_under_another_version_is_named_before_it_goes(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey, reporter: Remembering
) -> None:
    author = key("author")
    for version in ("1.0.0", "1.1.0"):
        add_star(galaxy, built(version=version), [author])
    one, other = galaxy.root / "stars/hello-1.0.0.toml", galaxy.root / "stars/hello-1.1.0.toml"
    envelope_of(other).write_bytes(envelope_of(one).read_bytes())
    index_galaxy(galaxy, authors=[author], galaxies=[], today="2026.02.03", reporter=reporter)
    assert reporter.warnings == [
        f"{envelope_of(other)}: was signed as hello-1.0.0, not as hello-1.1.0: the signature does not count"
    ]


def test_a_statement_under_another_version_is_named_with_its_signature(
    galaxy: GalaxyFolder, built: Callable[..., BuiltStar], key: MakeKey, reporter: Remembering
) -> None:
    add_star(galaxy, built(), [key("author")])
    one, other = galaxy.root / "stars/hello-1.0.0.toml", galaxy.root / "stars/hello-7.0.0.toml"
    other.write_bytes(one.read_bytes())
    envelope_of(other).write_bytes(envelope_of(one).read_bytes())
    index_galaxy(galaxy, authors=[], galaxies=[], today="2026.02.03", reporter=reporter)
    assert reporter.warnings == [
        f"{other}: is the statement of hello-1.0.0; it is ignored, together with its signature"
    ]
