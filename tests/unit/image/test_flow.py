"""The main flow, in memory: what goes in, in which order it is refused, what comes out."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from cosmos.canon import Json
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Malformed, NoSolution, Refused, ScriptFailed, WorldFailed
from cosmos.image.definition import Definition
from cosmos.image.flow import Built, build_image
from cosmos.image.freeze import freeze
from cosmos.model.lock import Lock
from cosmos.model.names import StarName
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.pack.image_file import ImageLayer, ImageReader, PackedLayer
from cosmos.release.lint.layer_look import Wanted
from cosmos.release.lint.linting import LintMemory, LookAhead, Terms
from cosmos.store.interface import Store
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.builders import BUILDER
from fakes.carriers import MemoryCarrier
from fakes.galaxies import StarSpec, galaxy_files, make_signers
from fakes.stores import MemoryStore
from fakes.worlds import EPOCH, OUT, MemoryWorld, memory_definition, memory_options

WISH = {"nano": "^7"}


def built(world: MemoryWorld, definition: Definition, **options: Any) -> Built:
    """Freeze and build."""
    freeze(definition, world)
    return build_image(definition, world, memory_options(**options))


def image(world: MemoryWorld) -> ImageReader:
    """Return the image that was published."""
    return ImageReader.of_stream(io.BytesIO(world.releases[OUT]["small-1.0.0-x86_64.tar.zst"]), "image")


def with_galaxy(world: MemoryWorld, *stars: StarSpec) -> MemoryWorld:
    """Let the galaxy list these stars."""
    world.galaxies["core"] = MemoryCarrier(galaxy_files("core", stars, world.signers))
    return world


def test_a_lock_becomes_a_release_of_what_it_pins_and_nothing_else(world: MemoryWorld) -> None:
    done = built(world, memory_definition(stars=WISH))
    release = world.releases[OUT]
    assert sorted(release) == [
        "RELEASE.json",
        "definition.tar",
        "manifest.txt",
        "receipts.json",
        "report.html",
        "sbom.cdx.json",
        "sbom.spdx.json",
        "small-1.0.0-x86_64.tar.zst",
        "universe.lock.toml",
    ]
    files = {line.path.text: line for line in image(world).lines() if line.kind != "dir"}
    assert sorted(files) == [
        "bin",
        "etc/hostname",
        "etc/nanorc",
        "lib",
        "lib64",
        "sbin",
        "usr/bin/nano",
        "usr/lib/libz.so.1",
        "var/lib/cosmos/universe.toml",
    ]
    assert files["usr/lib/libz.so.1"].digest == Digest.of(b"zlib" * 100)
    assert done.content_root == Digest.of(release["manifest.txt"])
    assert (done.changed, done.signed) == (True, False)
    assert [layer.name for layer in image(world).layers] == [
        "directories",
        "zlib-1.3.1",
        "nano-7.2.0",
        "template",
        "end",
    ]


def test_every_file_of_the_release_is_a_subject_with_its_digest(world: MemoryWorld) -> None:
    done = built(world, memory_definition(stars=WISH))
    release = world.releases[OUT]
    stated = {subject.name: (subject.digest, subject.size_bytes) for subject in done.release.subjects}
    assert stated == {name: (Digest.of(data), len(data)) for name, data in release.items() if name != "RELEASE.json"}
    roots = {subject.name: subject.content_root for subject in done.release.subjects}
    assert roots.pop("small-1.0.0-x86_64.tar.zst") == done.content_root
    assert set(roots.values()) == {None}, "no other file holds the whole tree"
    assert done.release.to_bytes() == release["RELEASE.json"]


def test_the_release_says_what_it_was_made_from(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH)
    done = built(world, definition)
    lock = Lock.parse(world.locks[definition.folder][0], "lock")
    rows = json.loads(done.release.to_bytes())["predicate"]["buildDefinition"]["resolvedDependencies"]
    named = {row["name"]: row["digest"]["sha256"] for row in rows}
    assert (
        named.items()
        >= {
            "galaxy:core": lock.galaxies[0].index.hex,
            **{star.id: star.archive.hex for star in lock.stars},
        }.items()
    )
    run = json.loads(done.release.to_bytes())["predicate"]["runDetails"]
    assert run["builder"] == BUILDER.to_json()
    assert done.release.external["definition"] == str(Digest.of(definition.data))
    assert done.release.internal["sandbox"] == {"nothing": "runs here"}
    assert done.release.internal["sourceDateEpoch"] == EPOCH


def test_an_image_gets_no_cosmos_that_cannot_read_its_universe(world: MemoryWorld) -> None:
    with_galaxy(world, StarSpec("cosmos", files={"usr/bin/cosmos": b"of version 0.1"}))
    with pytest.raises(NoSolution, match=r"^cosmos 1\.0\.0: reads universe.toml up to format 1, but .* format 2"):
        built(world, memory_definition(stars={"cosmos": "*"}))
    assert OUT not in world.releases


def test_the_binary_that_is_inside_lies_beside_the_image_and_can_be_started(world: MemoryWorld) -> None:
    program = StarSpec("cosmos", files={"usr/bin/cosmos": b"the program"}, provides={"universe-format": "2.0.0"})
    with_galaxy(world, program)
    built(world, memory_definition(stars={"cosmos": "*"}))
    assert world.releases[OUT]["cosmos"] == b"the program"
    (draft,) = world.drafts
    assert {name: mode for name, mode in draft.modes.items() if mode != 0o644} == {"cosmos": 0o755}


def test_the_same_lock_gives_the_same_bytes_and_the_release_stands_as_it_was(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH)
    first = built(world, definition)
    before = dict(world.releases[OUT])
    assert first.made.keys() == {"zlib", "nano"}
    again = build_image(definition, world, memory_options())
    assert (again.changed, dict(again.made)) == (False, {})
    elsewhere = MemoryWorld(world.signers)
    elsewhere.galaxies, elsewhere.locks = world.galaxies, world.locks
    build_image(definition, elsewhere, memory_options())
    assert elsewhere.releases[OUT] == before


def test_a_star_that_changed_is_the_only_one_that_is_made_again(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH)
    built(world, definition)
    newer = StarSpec("nano", "7.3.0", {"usr/bin/nano": b"newer"}, {"zlib": "^1.3"})
    zlib = StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"zlib" * 100})
    world.galaxies["core"] = MemoryCarrier(galaxy_files("core", [zlib, newer], world.signers, seq=2))
    freeze(definition, world, upgrade="all")
    assert build_image(definition, world, memory_options()).made.keys() == {"nano"}


def test_the_installed_universe_names_each_star_with_the_files_that_it_owns(world: MemoryWorld) -> None:
    built(world, memory_definition(stars=WISH, policy={"owners": {"etc/hostname": "nano"}}))
    universe = Universe.parse(image(world).read_file(UNIVERSE_PATH), "universe.toml")
    assert {str(name): [path.text for path in star.files] for name, star in universe.installed.items()} == {
        "zlib": ["usr/lib/libz.so.1"],
        "nano": ["etc/nanorc", "usr/bin/nano"],
    }


def test_a_folder_that_a_star_brings_is_no_file_of_the_installed_universe(world: MemoryWorld) -> None:
    folder = Entry(path=TreePath(b"usr/share/empty"), kind="dir", mode=0o700)
    with_galaxy(world, StarSpec("one", files={"usr/share/empty": folder, "usr/share/x": b"x"}))
    built(world, memory_definition(stars={"one": "*"}))
    (star,) = Universe.parse(image(world).read_file(UNIVERSE_PATH), "universe.toml").installed.values()
    assert [path.text for path in star.files] == ["usr/share/x"]


FINISH = b'function install() write("etc/nanorc", "set x") chmod("usr/bin/nano", "0700") mkdir("srv/www") end'


def test_each_entry_of_the_image_has_an_owner_and_is_recorded_as_it_is(world: MemoryWorld) -> None:
    shared = Entry(path=TreePath(b"usr/bin"), kind="dir", mode=0o755)
    link = Entry(path=TreePath(b"usr/share/a/link"), kind="symlink", mode=0o777, target=b"to here", mtime=7)
    with_galaxy(
        world,
        StarSpec("one", files={"usr/bin": shared, "usr/bin/nano": b"nano", "etc/one.conf": b"1", "usr/share/a/x": b""}),
        StarSpec("two", files={"usr/bin": shared, "usr/bin/two": b"two", "usr/share/a/link": link, "etc/nanorc": b"y"}),
    )
    built(world, memory_definition(stars={"one": "*", "two": "*"}, finish=FINISH))
    packed = image(world)
    universe = Universe.parse(packed.read_file(UNIVERSE_PATH), "universe.toml")
    recorded = {
        **{str(name): tuple(star.entries) for name, star in universe.installed.items()},
        **{f"the {name}": tuple(entries) for name, entries in universe.layers.items()},
    }
    owners = {entry.path: (who, entry) for who, rows in recorded.items() for entry in rows if not entry.is_shared}
    in_image = {entry.path: entry for entry in packed.entries()}
    assert in_image.keys() - owners.keys() == {UNIVERSE_PATH, *UNIVERSE_PATH.parents}
    assert owners.keys() <= in_image.keys()
    for path, (_who, entry) in owners.items():
        held = in_image[path]
        assert (entry.kind, entry.mode, entry.uid, entry.gid) == (held.kind, held.mode, held.uid, held.gid), path
        assert (entry.size_bytes, entry.mtime, entry.rdev) == (held.size, held.mtime, held.rdev), path
        assert entry.target == (held.target if held.kind in ("symlink", "hardlink") else None), path
        assert held.kind != "file" or entry.digest == held.digest, path
    who = {path.text: owner for path, (owner, _entry) in owners.items()}
    assert {who["etc/nanorc"], who["usr/bin/nano"], who["srv/www"]} == {"the finish"}, (
        "it changed what stars had brought"
    )
    assert (who["etc/one.conf"], who["usr/bin/two"], who["etc/hostname"]) == ("one", "two", "the template")
    assert (who["usr/share/a"], who["usr/share"]) == ("one", "one"), "the first star makes a folder that nobody names"
    assert {entry.path.text for entry in recorded["two"] if entry.is_shared} >= {"usr/share/a", "usr/share"}
    flagged = {path.text for path, (_who, entry) in owners.items() if entry.is_configuration}
    assert flagged == {"etc/one.conf"}, "the image's own files are not a star's configuration"


def test_a_record_in_an_image_says_what_the_statement_says_and_not_who_signed(world: MemoryWorld) -> None:
    built(world, memory_definition(stars=WISH))
    data = image(world).read_file(UNIVERSE_PATH)
    (locked,) = (
        star for star in Lock.parse(world.releases[OUT]["universe.lock.toml"], "lock").stars if star.name == "nano"
    )
    star = Universe.parse(data, "universe.toml").installed[StarName("nano")]
    assert star.about is not None
    assert (star.about.size_bytes, star.about.script) == (locked.size_bytes, locked.script)
    assert star.about.facts == locked.facts
    assert star.published is None
    assert not [signer for signer in locked.signers if signer.encode() in data]
    assert (star.asked_by, star.needed_by) == (("image",), ())


def test_another_program_makes_every_layer_again(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH)
    built(world, definition)
    assert build_image(definition, world, memory_options(identity="another")).made.keys() == {"zlib", "nano"}


def test_a_lock_that_is_stale_is_refused_before_anything_is_fetched(world: MemoryWorld) -> None:
    freeze(memory_definition(stars=WISH), world)
    world.galaxies["core"].reads.clear()
    with pytest.raises(NoSolution, match=r"is stale: stars: zlib \* is wished for, but was not when it was locked"):
        build_image(memory_definition(stars={**WISH, "zlib": "*"}), world, memory_options())
    assert world.galaxies["core"].reads == []


REFUSED_EARLY: dict[str, tuple[dict[str, Any], type[CosmosError], str]] = {
    "two outputs of one name": (
        {"output": [{"format": "tar.zst"}, {"format": "tar.zst", "level": 3}]},
        Malformed,
        "output: small-1.0.0-x86_64.tar.zst is made twice",
    ),
    "an output that is called as a file of every release": (
        {"output": [{"format": "file", "path": "etc/nanorc", "as": "manifest.txt"}]},
        Malformed,
        "output: manifest.txt is made twice",
    ),
    "a variable that the template does not know": ({"vars": {"speed": 1}}, Malformed, "vars.speed: the template"),
    "a lock that must be signed and is not": (
        {"policy": {"signed-lock": True}},
        Refused,
        r"lock\.toml: is not signed",
    ),
}


@pytest.mark.parametrize("name", REFUSED_EARLY)
def test_what_can_be_refused_before_any_work_is(name: str, world: MemoryWorld) -> None:
    fields, error, said = REFUSED_EARLY[name]
    freeze(memory_definition(stars=WISH), world)
    world.galaxies["core"].reads.clear()
    with pytest.raises(error, match=said):
        build_image(memory_definition(stars=WISH, **fields), world, memory_options())
    assert world.galaxies["core"].reads == []
    assert world.releases == {}


def test_without_a_sandbox_nothing_is_fetched(world: MemoryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = memory_definition(stars=WISH)
    freeze(definition, world)

    def missing() -> dict[str, Json]:
        raise WorldFailed("nova", "scripts cannot be confined here")

    monkeypatch.setattr(world, "sandbox", missing)
    world.galaxies["core"].reads.clear()
    with pytest.raises(WorldFailed, match="scripts cannot be confined here"):
        build_image(definition, world, memory_options())
    assert world.galaxies["core"].reads == []


def _swapped(world: MemoryWorld, path: str, change: Callable[[bytes], bytes]) -> None:
    files = world.galaxies["core"].files
    files[path] = change(files[path])


def test_one_changed_byte_of_an_archive_is_refused_and_nothing_is_published(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH)
    freeze(definition, world)
    _swapped(world, "packages/zlib-1.3.1.tar.zst", lambda data: data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Refused, match=r"zlib-1\.3\.1: the lock names sha256:"):
        build_image(definition, world, memory_options())
    assert world.releases == {}


def test_offline_a_build_needs_no_galaxy_once_the_store_has_it_all(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH)
    first = built(world, definition)
    world.offline = True
    world.galaxies.clear()
    assert build_image(definition, world, memory_options()).content_root == first.content_root


def test_offline_the_first_star_that_the_store_lacks_is_named(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH)
    freeze(definition, world)
    world.offline = True
    with pytest.raises(WorldFailed, match=r"zlib 1\.3\.1: is not in the store"):
        build_image(definition, world, memory_options())


def test_two_stars_that_bring_one_path_are_refused_unless_the_image_says_who_wins(world: MemoryWorld) -> None:
    twins = (StarSpec("one", files={"etc/rc": b"1"}), StarSpec("two", files={"etc/rc": b"2"}))
    with_galaxy(world, *twins)
    wishes = {"one": "*", "two": "*"}
    with pytest.raises(NoSolution, match=r"/etc/rc: both one \(file\) and two \(file\) bring it"):
        built(world, memory_definition(stars=wishes))
    assert world.releases == {}
    built(world, memory_definition(stars=wishes, policy={"owners": {"etc/rc": "two"}}))
    (line,) = (line for line in image(world).lines() if line.path.text == "etc/rc")
    assert line.digest == Digest.of(b"2")


def test_a_finish_script_changes_the_tree_and_takes_the_file_that_it_changes_along(world: MemoryWorld) -> None:
    finish = b'function install()\n  chmod("/usr/bin/nano", "0700")\n  write("/etc/motd", "hello\\n")\nend\n'
    done = built(world, memory_definition(stars=WISH, finish=finish))
    files = {line.path.text: line for line in image(world).lines()}
    assert (files["usr/bin/nano"].mode, files["usr/bin/nano"].digest) == (0o700, Digest.of(b"nano" * 50))
    assert files["etc/motd"].digest == Digest.of(b"hello\n")
    by_layer = {layer.name: [row.line.path.text for row in layer.lines] for layer in image(world).layers}
    assert "usr/bin/nano" in by_layer["template"]
    assert by_layer["nano-7.2.0"] == ["etc/nanorc"]
    (taken,) = (entry for entry in image(world).entries() if entry.path.text == "usr/bin/nano")
    assert (bytes(taken.content), taken.mtime) == (b"nano" * 50, EPOCH)
    receipts = json.loads(world.releases[OUT]["receipts.json"])
    assert [event["do"] for event in receipts["finish"]["events"]] == ["chmod", "write"]
    assert done.content_root == Digest.of(world.releases[OUT]["manifest.txt"])


def test_a_file_that_a_finish_script_empties_is_empty_whatever_the_epoch(world: MemoryWorld) -> None:
    finish = b'function install() write("/usr/bin/nano", "") end'
    built(world, memory_definition(stars=WISH, finish=finish, **{"source-date-epoch": 0}))
    (line,) = (line for line in image(world).lines() if line.path.text == "usr/bin/nano")
    assert (line.size, line.digest) == (0, Digest.of(b""))
    by_layer = {layer.name: [row.line.path.text for row in layer.lines] for layer in image(world).layers}
    assert "usr/bin/nano" in by_layer["template"]


def test_a_finish_script_may_make_the_twin_of_a_path_that_the_image_says_is_meant(world: MemoryWorld) -> None:
    finish = b'function install() write("/etc/NANORC", "twin") end'
    with pytest.raises(NoSolution, match="the two differ by case alone"):
        built(world, memory_definition(stars=WISH, finish=finish))
    built(world, memory_definition(stars=WISH, finish=finish, policy={"owners": {"etc/nanorc": "nano"}}))
    assert {"etc/nanorc", "etc/NANORC"} <= {line.path.text for line in image(world).lines()}


def test_a_finish_script_that_fails_publishes_nothing(world: MemoryWorld) -> None:
    with pytest.raises(ScriptFailed, match="finish"):
        built(world, memory_definition(stars=WISH, finish=b"function install() error('no') end"))
    assert world.releases == {}


def test_the_trust_anchors_that_the_image_names_lie_inside(world: MemoryWorld) -> None:
    built(world, memory_definition(stars=WISH, trust=b"the anchors"))
    (line,) = (line for line in image(world).lines() if line.path.text == "etc/cosmos/trust.toml")
    assert line.digest == Digest.of(b"the anchors")


def test_the_packed_image_is_an_ordinary_tar(world: MemoryWorld) -> None:
    import zstandard

    built(world, memory_definition(stars=WISH))
    packed = io.BytesIO(world.releases[OUT]["small-1.0.0-x86_64.tar.zst"])
    with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as stream:
        data = stream.read()
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        member = tar.extractfile("usr/bin/nano")
        assert member is not None
        assert member.read() == b"nano" * 50


def test_a_star_that_nobody_signed_is_refused_whatever_the_lock_says(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH)
    freeze(definition, world)
    del world.galaxies["core"].files["stars/zlib-1.3.1.toml.dsse"]
    with pytest.raises(Refused, match=r"stars/zlib-1\.3\.1\.toml"):
        build_image(definition, world, memory_options())


def test_a_star_of_a_key_that_is_pinned_no_longer_is_taken_by_name_alone_and_the_release_says_so(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = memory_definition(stars=WISH)
    freeze(definition, world)
    then = world.pinned
    world.pinned = replace(then, authors=make_signers("others").roots().authors)
    monkeypatch.setattr(world, "roots_when_locked", lambda _: then)
    with pytest.raises(Refused, match="zlib: was valid when it was locked, but is not trusted now"):
        build_image(definition, world, memory_options())
    accepted = frozenset({"zlib", "nano"})
    done = build_image(definition, world, memory_options(accept_revoked=accepted))
    told = done.release.external["acceptedRevoked"]
    assert isinstance(told, dict)
    assert told.keys() == accepted
    with pytest.raises(NoSolution, match="other: need not be accepted"):
        build_image(definition, world, memory_options(accept_revoked=accepted | {"other"}))


def test_an_archive_is_hashed_when_it_arrives_and_when_it_is_unpacked_and_not_once_more(
    world: MemoryWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = memory_definition(stars=WISH)
    freeze(definition, world)
    archives = {data for path, data in world.galaxies["core"].files.items() if path.startswith("packages/")}
    hashed: list[bytes] = []
    of = Digest.of

    def counting(data: bytes | memoryview) -> Digest:
        if bytes(data) in archives:
            hashed.append(bytes(data))
        return of(data)

    monkeypatch.setattr(Digest, "of", counting)
    build_image(definition, world, memory_options())
    assert {data: hashed.count(data) for data in archives} == dict.fromkeys(archives, 2)
    hashed.clear()
    build_image(definition, world, memory_options())
    assert {data: hashed.count(data) for data in archives} == dict.fromkeys(archives, 1), "a local galaxy is read again"


def test_a_freeze_that_finds_no_solution_keeps_what_it_has_verified(world: MemoryWorld) -> None:
    with_galaxy(world, StarSpec("nano", "7.2.0", {}, {"zlib": "^2"}), StarSpec("zlib", "1.3.1"))
    with pytest.raises(NoSolution):
        freeze(memory_definition(stars=WISH), world)
    assert world.store.results
    assert world.store.is_settled


def test_a_cosmos_that_is_a_link_in_the_tree_is_no_binary_beside_the_image(world: MemoryWorld) -> None:
    link = Entry(path=TreePath(b"usr/bin/cosmos"), kind="symlink", mode=0o777, target=b"tool")
    with_galaxy(world, StarSpec("one", files={"usr/bin/cosmos": link, "usr/bin/tool": b"x"}))
    built(world, memory_definition(stars={"one": "*"}))
    assert "cosmos" not in world.releases[OUT]


def test_a_release_says_which_star_went_to_a_lower_version_and_from_which(world: MemoryWorld) -> None:
    definition = memory_definition(stars=WISH)
    freeze(definition, world)
    zlib = StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"zlib" * 100})
    lower = StarSpec("nano", "7.1.0", {"usr/bin/nano": b"older"}, {"zlib": "^1.3"})
    world.galaxies["core"] = MemoryCarrier(galaxy_files("core", [zlib, lower], world.signers, seq=2))
    freeze(definition, world, allow_downgrade=frozenset({StarName("nano")}))
    done = build_image(definition, world, memory_options())
    assert done.release.external["allowedDowngrades"] == {"nano": "7.2.0"}


def test_a_layer_is_linted_by_the_worker_that_makes_it_and_not_read_again(world: MemoryWorld) -> None:
    definition, look = memory_definition(stars=WISH), LookAhead(program="this", builder_folders=(b"/home/builder/x",))
    built(world, definition, look=look)
    reader = image(world)
    terms = Terms(epoch=EPOCH, stars={layer.name: StarName(layer.name.split("-")[0]) for layer in reader.layers})
    wanted, fresh = Wanted(look.builder_folders), MemoryStore()
    stars = [layer for layer in reader.layers if layer.name.startswith(("zlib-", "nano-"))]
    assert len(stars) == 2

    def looks(store: Store, said: Terms, opened: Callable[[ImageLayer], PackedLayer]) -> list[Json]:
        memory = LintMemory(store, "this", pytest.fail)
        return [memory.look(one.name, one.digest, partial(opened, one), said, wanted).to_json() for one in stars]

    def again(layer: ImageLayer) -> PackedLayer:
        pytest.fail(f"{layer.name} is read again")

    assert looks(world.made, terms, again) == looks(fresh, terms, reader.packed)
    with pytest.raises(pytest.fail.Exception, match="read again"):
        looks(world.made, replace(terms, epoch=EPOCH + 1), again)
