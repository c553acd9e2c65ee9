"""`cosmos freeze`, from an image definition and its galaxies to a lock: through real folders, keys and HTTP."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.errors import Differs, NoSolution, Refused, WorldFailed
from cosmos.image.acquiring import acquire_lock
from cosmos.image.definition import read_definition, read_lock
from cosmos.image.freeze import FrozenLock, check, freeze
from cosmos.image.home import Home
from cosmos.image.resolution import Upgrade
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.lock import Lock
from cosmos.model.names import KeyName, StarName
from cosmos.transport.carrier import NotThere
from cosmos.trust.floors import Floors
from cosmos.trust.roots import AuthorKey
from fakes.galaxies import Signers, StarSpec
from fakes.growing_galaxies import GrowingGalaxy, grow_galaxy, make_upstream_galaxy, new_signers, pin
from fakes.images import write_template
from fakes.reporters import Remembering

ZLIB = StarSpec("zlib", "1.3.1", files={"usr/lib/libz.so.1": b"zlib"})
NANO = StarSpec("nano", "7.2.0", files={"usr/bin/nano": b"nano"}, dependencies={"zlib": "^1"})


class Site:
    """A builder's home, an image's folder and a galaxy beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.image = folder / "image"
        self.keys: Signers = new_signers()
        self.galaxy: GrowingGalaxy = grow_galaxy(folder, "core", [ZLIB, NANO], keys=self.keys)
        self.reporter = Remembering()
        self.image.mkdir()
        pin(self.keys, self.home)
        self.wish()

    def wish(
        self,
        stars: dict[str, str] | None = None,
        *,
        galaxies: dict[str, object] | None = None,
        constellations: dict[str, list[str]] | None = None,
        **fields: object,
    ) -> None:
        """Write the image definition."""
        for name, members in (constellations or {}).items():
            text = tomli_w.dumps({"name": name, "members": members})
            (self.image / f"{name}.toml").write_text(text)
        document: dict[str, object] = {
            "name": "rescue",
            "version": "1.0.0",
            "arch": "x86_64",
            "template": "./template",
            "source-date-epoch": 1767225600,
            "constellations": [f"{name}.toml" for name in constellations or {}],
            "stars": {"nano": "*"} if stars is None else stars,
            "galaxies": galaxies or {"core": "../core"},
            **fields,
        }
        write_template(self.image / "template")
        (self.image / "image.toml").write_text(tomli_w.dumps(document))

    def freeze(
        self,
        *,
        offline: bool = False,
        upgrade: Upgrade = frozenset(),
        allow_downgrade: frozenset[StarName] = frozenset(),
    ) -> FrozenLock:
        self.reporter = Remembering()
        return freeze(
            read_definition(self.image),
            self.world(offline=offline),
            upgrade=upgrade,
            allow_downgrade=allow_downgrade,
        )

    def world(self, *, offline: bool = False) -> Home:
        return Home(home=self.home, offline=offline, reporter=self.reporter)

    def build_can_fetch(self, *, offline: bool = False) -> None:
        """Everything that the lock pins is to be had and verifies."""
        definition = read_definition(self.image)
        lock, _ = read_lock(definition)
        acquired = acquire_lock(lock, definition, self.world(offline=offline))
        assert set(acquired.stars) == {star.name for star in lock.stars}

    @property
    def lock_file(self) -> Path:
        return self.image / "universe.lock.toml"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def stars(frozen: FrozenLock | Lock) -> list[str]:
    lock = frozen.lock if isinstance(frozen, FrozenLock) else frozen
    return [star.id for star in lock.stars]


def names(*texts: str) -> frozenset[StarName]:
    return frozenset(StarName(text) for text in texts)


# What a lock says.


def test_a_lock_pins_every_star_in_dependency_order_with_what_proves_it(site: Site) -> None:
    frozen = site.freeze()
    assert frozen.changed
    assert stars(frozen) == ["zlib-1.3.1", "nano-7.2.0"]
    zlib, nano = frozen.lock.stars
    assert zlib.archive == Digest.of((site.galaxy.path / zlib.file).read_bytes())
    assert zlib.size_bytes == (site.galaxy.path / zlib.file).stat().st_size
    assert zlib.statement == Digest.of(site.galaxy.file("stars/zlib-1.3.1.toml").read_bytes())
    assert zlib.signers == (site.keys["author"].public.id,)
    assert (zlib.wanted_by, nano.wanted_by) == (("nano",), ("image",))
    assert nano.dependencies == ("zlib",)
    assert frozen.lock.galaxies[0].index == Digest.of(site.galaxy.file("meta.toml").read_bytes())
    assert frozen.lock.galaxies[0].seq == 1
    assert Lock.parse(site.lock_file.read_bytes(), "lock") == frozen.lock
    assert frozen.data.startswith(b"# Every star of this image, pinned.")


def test_what_was_frozen_can_be_built(site: Site) -> None:
    site.freeze()
    site.build_can_fetch()


def test_freezing_again_changes_no_byte(site: Site) -> None:
    first = site.freeze()
    before = site.lock_file.stat()
    second = site.freeze()
    assert not second.changed
    assert second.data == first.data
    assert site.lock_file.stat().st_mtime_ns == before.st_mtime_ns


def test_two_people_who_freeze_the_same_galaxy_write_the_same_lock(site: Site, tmp_path: Path) -> None:
    first = site.freeze().data
    site.lock_file.unlink()
    site.home = tmp_path / "another home"
    pin(site.keys, site.home)
    assert site.freeze().data == first


def test_constellations_are_wishes_like_the_images_own(site: Site) -> None:
    site.wish({}, constellations={"tools": ["nano@^7.0"]})
    frozen = site.freeze()
    assert stars(frozen) == ["zlib-1.3.1", "nano-7.2.0"]
    assert frozen.lock.stars[1].wanted_by == ("constellation:tools",)


# What moves, and what stays.


def test_a_locked_star_stays_when_a_newer_one_appears_and_moves_when_it_is_told_to(site: Site) -> None:
    site.freeze()
    site.galaxy.add(StarSpec("zlib", "1.4.0"), StarSpec("nano", "7.3.0", dependencies={"zlib": "^1"}))
    again = site.freeze()
    assert stars(again) == ["zlib-1.3.1", "nano-7.2.0"]
    assert again.lock.galaxies[0].seq == 2
    assert stars(site.freeze(upgrade=names("zlib"))) == ["zlib-1.4.0", "nano-7.2.0"]
    assert stars(site.freeze(upgrade="all")) == ["zlib-1.4.0", "nano-7.3.0"]


def test_a_locked_star_moves_where_it_no_longer_fits(site: Site) -> None:
    site.freeze()
    site.galaxy.add(StarSpec("zlib", "1.4.0"))
    site.wish({"nano": "*", "zlib": ">=1.4"})
    assert stars(site.freeze()) == ["zlib-1.4.0", "nano-7.2.0"]


def test_a_withdrawn_star_moves_up(site: Site) -> None:
    site.freeze()
    site.galaxy.add(StarSpec("zlib", "1.3.2"))
    site.galaxy.withdraw("zlib", "1.3.1")
    assert stars(site.freeze()) == ["zlib-1.3.2", "nano-7.2.0"]


@pytest.mark.objective("SO-07")
def test_a_star_goes_down_only_where_it_is_named_and_the_lock_says_so(site: Site) -> None:
    before = site.freeze().data
    site.galaxy.add(StarSpec("zlib", "1.3.0"))
    site.galaxy.withdraw("zlib", "1.3.1")
    with pytest.raises(Refused, match=r"zlib-1\.3\.0: the lock has 1\.3\.1: this is a downgrade"):
        site.freeze()
    assert site.lock_file.read_bytes() == before
    lowered = site.freeze(allow_downgrade=names("zlib"))
    assert stars(lowered) == ["zlib-1.3.0", "nano-7.2.0"]
    assert lowered.lock.downgraded == {"zlib": "1.3.1"}
    assert not site.freeze().changed, "what was allowed stays written"


def test_a_star_that_is_not_locked_cannot_be_upgraded(site: Site) -> None:
    site.freeze()
    with pytest.raises(NoSolution, match="bash: is not in the lock"):
        site.freeze(upgrade=names("bash"))


def test_other_bytes_under_a_locked_version_are_refused_unless_the_star_is_named(site: Site) -> None:
    before = site.freeze().data
    site.galaxy.add(StarSpec("zlib", "1.3.1", files={"usr/lib/libz.so.1": b"other"}))
    with pytest.raises(
        Refused, match=r"zlib-1\.3\.1: the lock pins sha256:\w+, but galaxy core now has sha256:\w+"
    ) as caught:
        site.freeze()
    assert (caught.value.hint or "").endswith(f"cosmos freeze {site.image} --upgrade zlib")
    assert site.lock_file.read_bytes() == before
    assert site.freeze(upgrade=names("zlib")).changed
    assert "under the same version" in site.reporter.warnings[0]


def test_a_lock_that_cannot_be_read_is_made_anew(site: Site) -> None:
    first = site.freeze().data
    site.lock_file.write_text("lock-version = 99\n")
    assert site.freeze().data == first
    assert "every star is resolved again" in site.reporter.warnings[0]


def test_a_failed_freeze_leaves_the_old_lock(site: Site) -> None:
    first = site.freeze().data
    site.wish({"nano": "^9"})
    with pytest.raises(NoSolution):
        site.freeze()
    assert site.lock_file.read_bytes() == first


# Trust.


@pytest.mark.objective("SO-05")
def test_a_star_that_no_pinned_key_signed_is_refused(site: Site) -> None:
    stranger = SecretKey.generate(KeyName("mallory"), "author")
    site.galaxy.add(StarSpec("nano", "8.0.0"), author=stranger)
    with pytest.raises(Refused, match=r"stars/nano-8.0.0.toml"):
        site.freeze()
    assert not site.lock_file.exists()


@pytest.mark.objective("SO-04")
def test_a_star_that_was_signed_for_another_galaxy_is_refused(site: Site) -> None:
    site.galaxy.add(StarSpec("nano", "8.0.0"), galaxy="other")
    with pytest.raises(Refused, match="signed for galaxy other"):
        site.freeze()


@pytest.mark.objective("SO-01")
def test_a_key_that_was_pinned_for_other_stars_is_refused(site: Site) -> None:
    pin(site.keys, site.home, authors=(AuthorKey(key=site.keys["author"].public, galaxies=("*",), stars=("lib*",)),))
    with pytest.raises(Refused):
        site.freeze()


@pytest.mark.objective("SO-03")
@pytest.mark.parametrize("file", ["meta.toml", "meta.toml.dsse", "stars/nano-7.2.0.toml", "stars/nano-7.2.0.toml.dsse"])
def test_one_changed_byte_in_a_signed_document_is_refused(site: Site, file: str) -> None:
    data = bytearray(site.galaxy.file(file).read_bytes())
    data[len(data) // 2] ^= 1
    site.galaxy.file(file).write_bytes(data)
    with pytest.raises(Refused):
        site.freeze()


@pytest.mark.parametrize("file", ["meta.toml.dsse", "stars/nano-7.2.0.toml.dsse"])
def test_a_document_without_its_signature_is_refused(site: Site, file: str) -> None:
    site.galaxy.file(file).unlink()
    with pytest.raises(Refused, match="not signed"):
        site.freeze()


@pytest.mark.objective("SO-05")
def test_a_statement_that_the_index_does_not_list_is_refused(site: Site) -> None:
    row, other = site.galaxy.rows["nano", "7.2.0"], site.galaxy.rows["zlib", "1.3.1"]
    site.galaxy.rows["nano", "7.2.0"] = replace(row, statement=other.statement)
    site.galaxy.index()
    with pytest.raises(Refused, match=r"stars/nano-7.2.0.toml"):
        site.freeze()


def test_an_index_that_lists_another_archive_than_the_author_signed_is_refused(site: Site) -> None:
    row = site.galaxy.rows["nano", "7.2.0"]
    site.galaxy.rows["nano", "7.2.0"] = replace(row, archive=Digest.of(b"another"))
    site.galaxy.index()
    with pytest.raises(Refused, match="the index lists the archive"):
        site.freeze()


@pytest.mark.objective("SO-07")
def test_a_galaxy_that_was_rolled_back_is_refused(site: Site) -> None:
    site.galaxy.add(StarSpec("zlib", "1.4.0"))
    site.freeze()
    site.galaxy.withdraw("zlib", "1.4.0")
    site.galaxy.index(seq=1)
    with pytest.raises(Refused, match=r"meta\.toml: has seq 1, but seq 2 was seen before, in the lock"):
        site.freeze(upgrade="all")


@pytest.mark.objective("SO-07")
def test_a_galaxy_that_tells_one_number_two_ways_is_refused(site: Site) -> None:
    site.freeze()
    site.galaxy.withdraw("nano", "7.2.0")
    site.galaxy.index(seq=1)
    with pytest.raises(Refused, match=r"another with the same seq 1 was seen before, in the lock"):
        site.freeze()


@pytest.mark.objective("SO-09")
def test_a_version_below_the_operators_floor_is_not_chosen(site: Site) -> None:
    pin(site.keys, site.home, floors=Floors(stars={StarName("zlib"): "1.4.0"}))
    with pytest.raises(NoSolution, match=r"nano 7.2.0 wants zlib"):
        site.freeze()
    site.galaxy.add(StarSpec("zlib", "1.4.0"))
    assert stars(site.freeze()) == ["zlib-1.4.0", "nano-7.2.0"]


@pytest.mark.objective("SO-12")
def test_a_kept_statement_is_verified_again_under_the_keys_of_today(site: Site) -> None:
    site.freeze()
    pin(new_signers(), site.home)
    with pytest.raises(Refused):
        site.freeze(offline=True)
    with pytest.raises(Refused):
        site.freeze()


# Galaxies in order, and sentences.


def test_the_first_galaxy_that_lists_a_name_answers_for_it(site: Site) -> None:
    grow_galaxy(site.folder, "mine", [StarSpec("zlib", "1.0.0")], keys=site.keys)
    site.wish(galaxies={"mine": "../mine", "core": "../core"})
    frozen = site.freeze()
    assert [(star.id, star.galaxy) for star in frozen.lock.stars] == [("zlib-1.0.0", "mine"), ("nano-7.2.0", "core")]
    site.build_can_fetch()


def test_what_cannot_be_had_is_named_with_who_wants_it(site: Site) -> None:
    site.wish({"nano": "*", "zlib": "^2"})
    site.galaxy.add(StarSpec("zlib", "2.0.0"))
    with pytest.raises(NoSolution, match=r"image wants zlib \^2, but nano 7.2.0 wants zlib \^1"):
        site.freeze()
    site.wish({"nanno": "*"})
    with pytest.raises(NoSolution, match="image wants nanno, which no galaxy has") as caught:
        site.freeze()
    assert caught.value.hint == "did you mean nano?"


def test_a_circle_of_dependencies_is_locked_whole_and_in_one_order(site: Site) -> None:
    site.galaxy.add(StarSpec("a", dependencies={"b": "*"}), StarSpec("b", dependencies={"a": "*"}))
    site.wish({"a": "*"})
    frozen = site.freeze()
    assert [(star.id, star.dependencies) for star in frozen.lock.stars] == [("b-1.0.0", ("a",)), ("a-1.0.0", ("b",))]
    check(read_definition(site.image))
    site.build_can_fetch()


def test_a_provided_name_is_locked_as_the_star_that_provides_it(site: Site) -> None:
    site.galaxy.add(StarSpec("vi", dependencies={"libz": "*"}), StarSpec("zng", provides={"libz": "1.3.0"}))
    site.wish({"vi": "*"})
    frozen = site.freeze()
    assert stars(frozen) == ["zng-1.0.0", "vi-1.0.0"]
    assert frozen.lock.stars[1].dependencies == ("zng",)
    site.build_can_fetch()


# Staleness.


def test_check_is_silent_while_the_lock_fits_and_needs_no_galaxy(site: Site) -> None:
    frozen = site.freeze()
    site.galaxy.path.rename(site.folder / "away")
    assert check(read_definition(site.image)) == frozen.lock


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"stars": {"nano": "^7"}}, "stars: nano is now ^7, but was locked as *"),
        ({"stars": {"nano": "*", "zlib": "*"}}, "stars: zlib * is wished for, but was not when it was locked"),
        ({"stars": {}}, "stars: nano * was locked, but is no longer wished for"),
        ({"arch": "aarch64"}, "arch is now aarch64, but was locked as x86_64"),
        ({"name": "other"}, "image is now other, but was locked as rescue"),
        ({"galaxies": {"core": "../elsewhere"}}, "galaxy core: url is now ../elsewhere, but was locked as ../core"),
        ({"galaxies": {"core": "../core", "more": "../more"}}, "galaxy more was added"),
        ({"galaxies": {"more": "../more"}}, "galaxy core was locked, but is gone"),
        (
            {"galaxies": {"core": {"url": "../core", "allow-unsigned": True}}},
            "galaxy core: allow-unsigned is now True, but was locked as False",
        ),
        ({"source-date-epoch": 1}, "source-date-epoch is now 1, but was locked as 1767225600"),
        ({"output": [{"format": "tar.zst", "level": 19}]}, "level is now 19, but was locked as 9"),
        (
            {"constellations": {"tools": ["zlib"]}},
            "constellation tools.toml is asked for, but was not when it was locked",
        ),
    ],
)
def test_every_change_of_the_image_definition_that_matters_is_named(
    site: Site, change: dict[str, object], named: str
) -> None:
    site.freeze()
    site.wish(**change)
    with pytest.raises(Differs) as caught:
        check(read_definition(site.image))
    assert named in caught.value.differences
    assert caught.value.hint == f"cosmos freeze {site.image}"


def test_a_changed_constellation_and_a_changed_order_of_galaxies_are_named(site: Site) -> None:
    grow_galaxy(site.folder, "mine", [StarSpec("x")], keys=site.keys)
    site.wish(galaxies={"core": "../core", "mine": "../mine"}, constellations={"tools": ["zlib"]})
    site.freeze()
    site.wish(galaxies={"mine": "../mine", "core": "../core"}, constellations={"tools": ["zlib@^1"]})
    with pytest.raises(Differs) as caught:
        check(read_definition(site.image))
    assert caught.value.differences == (
        "constellation tools.toml: zlib is now ^1, but was locked as *",
        "galaxies are now in the order mine, core, but were locked as core, mine",
    )


def test_what_moves_no_byte_of_the_request_does_not_make_a_lock_stale(site: Site) -> None:
    site.freeze()
    site.wish(description="another", vars={"hostname": "x"}, marker="READY")
    check(read_definition(site.image))


def test_without_a_lock_there_is_nothing_to_check(site: Site) -> None:
    with pytest.raises(NoSolution, match="is not there"):
        check(read_definition(site.image))


# Offline.


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.mark.objective("SO-16")
def test_offline_the_snapshot_of_the_old_lock_is_resolved_again(site: Site, no_sockets: None) -> None:
    site.wish({"zlib": "*", "nano": "*"})
    site.freeze()
    site.galaxy.path.rename(site.folder / "away")
    site.wish({"zlib": "*"})
    assert stars(site.freeze(offline=True)) == ["zlib-1.3.1"]


@pytest.mark.objective("SO-16")
def test_offline_what_the_store_lacks_is_named(site: Site, no_sockets: None) -> None:
    site.wish({"zlib": "*"})
    site.freeze()
    site.galaxy.path.rename(site.folder / "away")
    site.wish({"nano": "*"})
    with pytest.raises(WorldFailed, match=r"nano-7.2.0: is not in the store") as caught:
        site.freeze(offline=True)
    assert "without --offline" in str(caught.value.hint)


@pytest.mark.objective("SO-16")
def test_offline_without_a_lock_there_is_no_snapshot_to_go_by(site: Site, no_sockets: None) -> None:
    with pytest.raises(WorldFailed, match="core: its index cannot be read offline"):
        site.freeze(offline=True)


# HTTP, and galaxies of upstream.


@pytest.fixture
def served(site: Site) -> Iterator[str]:
    """The site's folder behind `python3 -m http.server`, the program itself."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(site.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            said = re.search(r" port ([0-9]+) ", server.stdout.readline())  # once it listens
            assert said is not None
            yield f"http://127.0.0.1:{said[1]}"
        finally:
            server.kill()


def test_a_galaxy_behind_a_plain_file_server_is_frozen_and_fetched(site: Site, served: str) -> None:
    odd = StarSpec("libstdc++", "6.0.0+b1", files={"usr/lib/libstdc++.so.6": b"x" * 100_000})
    site.galaxy.add(odd)
    site.wish({"nano": "*", "libstdc++": "*"}, galaxies={"core": f"{served}/core"})
    assert stars(site.freeze()) == ["libstdc++-6.0.0+b1", "zlib-1.3.1", "nano-7.2.0"]
    site.build_can_fetch()
    site.galaxy.path.rename(site.folder / "away")
    site.build_can_fetch(offline=True)


@pytest.mark.parametrize("names_only", [False, True])
def test_a_galaxy_of_upstream_is_frozen_where_the_operator_allows_it(site: Site, names_only: bool) -> None:
    script = 'function install() copy("usr/bin/nano", "/usr/bin/nano") end'
    make_upstream_galaxy(
        site.folder,
        "up",
        [
            StarSpec("zlib", "1.3.1", files={"usr/lib/libz.so.1": b"z" * 5000}),
            StarSpec("nano", "7.2.0", files={"usr/bin/nano": b"nano"}, script=script, dependencies={"zlib": "^1"}),
        ],
        names_only=names_only,
    )
    site.wish(galaxies={"up": {"url": "../up", "allow-unsigned": True}})
    frozen = site.freeze()
    assert stars(frozen) == ["zlib-1.3.1", "nano-7.2.0"]
    nano = frozen.lock.stars[1]
    assert nano.file == "packages/nano-7.2.0.tar.gz"
    assert nano.script == Digest.of(script.encode())
    assert nano.signers == ()
    assert nano.unpacked_bytes == 10240
    assert "galaxy up: image.toml lets its stars be unsigned" in site.reporter.warnings
    assert "galaxy up: its index has the unknown key mood" in site.reporter.warnings
    assert "nano 7.2.0: its manifest has the unknown key upstream" in site.reporter.warnings
    site.build_can_fetch()
    site.build_can_fetch(offline=True)
    site.home = site.folder / "another home"
    pin(site.keys, site.home)
    site.build_can_fetch()


def test_a_galaxy_of_upstream_is_refused_where_the_operator_does_not_allow_it(site: Site) -> None:
    make_upstream_galaxy(site.folder, "up", [ZLIB])
    site.wish({"zlib": "*"}, galaxies={"up": "../up"})
    with pytest.raises(Refused, match="not signed"):
        site.freeze()


def test_an_archive_of_upstream_that_its_own_index_does_not_know_is_refused(site: Site) -> None:
    path = make_upstream_galaxy(site.folder, "up", [ZLIB])
    (path / "packages/zlib-1.3.1.tar.gz").write_bytes(b"other")
    site.wish({"zlib": "*"}, galaxies={"up": {"url": "../up", "allow-unsigned": True}})
    with pytest.raises(Refused, match="but the file is"):
        site.freeze()


@pytest.mark.objective("SO-06")
def test_a_manifest_of_upstream_that_changed_after_it_was_frozen_is_refused_by_the_build(site: Site) -> None:
    path = make_upstream_galaxy(site.folder, "up", [ZLIB])
    site.wish({"zlib": "*"}, galaxies={"up": {"url": "../up", "allow-unsigned": True}})
    site.freeze()
    with (path / "stars/zlib.toml").open("a") as stream:
        stream.write('[dependencies]\nevil = "*"\n')
    site.home = site.folder / "another home"
    pin(site.keys, site.home)
    with pytest.raises(Refused, match="but galaxy up now gives"):
        site.build_can_fetch()


def test_a_star_whose_file_is_gone_is_named(site: Site) -> None:
    site.galaxy.file("stars/nano-7.2.0.toml").unlink()
    with pytest.raises(NotThere, match=r"stars/nano-7.2.0.toml"):
        site.freeze()
