"""`extends` in image.toml: a variant is joined with its base by the rules of image.joining, and only inside of its
repository."""

from __future__ import annotations

import json
import tarfile
import tomllib
from pathlib import Path

import pytest

from cosmos.image import joining
from cosmos.limits import MAX_IMAGE_BASES
from fakes.images import APP, BASE, EPOCH, META, ImageFixture, make_image
from fakes.programs import Cosmos

HEAD = f'version = "1.0.0"\narch = "x86_64"\nsource-date-epoch = {EPOCH}\ntemplate = "./template"\n'
VARIANT = 'name = "kiosk"\nextends = "../image"\n'


@pytest.fixture
def image(tmp_path: Path) -> ImageFixture:
    """A base in the folder image/, and room beside it for variants."""
    made = make_image(tmp_path, (BASE, APP, META), {"base": "^1"}, tables='[vars]\nhostname = "base"\nkeys = ["a"]')
    (made.folder / "template/template.toml").write_text(
        'merged-usr = true\n[variables.hostname]\ntype = "string"\nmeaning = "x"\n'
        '[variables.keys]\ntype = "strings"\nmeaning = "x"\n'
    )
    (made.folder / "template/root/etc/hostname.j2").write_text("{{ hostname }}\n")
    return made


def variant(image: ImageFixture, text: str, name: str = "kiosk") -> Path:
    """Write a variant beside the base, and return its folder."""
    folder = image.folder.parent / name
    folder.mkdir(exist_ok=True)
    (folder / "image.toml").write_text(text)
    return folder


def effective(cosmos: Cosmos, folder: Path) -> dict[str, object]:
    """Return the joined definition."""
    return tomllib.loads(cosmos("show", folder, "--effective").ok().out)


def test_a_variant_states_what_differs_and_has_the_rest_from_its_base(image: ImageFixture, cosmos: Cosmos) -> None:
    folder = variant(image, VARIANT + '[stars]\napp = "*"\n[vars]\nhostname = "kiosk"\n')
    cosmos("freeze", folder, "--home", image.home).ok()
    lock = tomllib.loads((folder / "universe.lock.toml").read_text())
    assert lock["request"]["image"] == "kiosk"
    assert lock["request"]["stars"] == {"app": "*", "base": "^1"}
    cosmos("build", folder, "--home", image.home, "--key", image.secret_key).ok()
    assert cosmos("cat", folder / "out", "etc/hostname").ok().out == "kiosk\n"
    cosmos("verify", folder / "out", "--key", image.public_key).ok()


def test_two_long_lists_are_joined_in_one_pass() -> None:
    compared = 0

    class Name(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    base, own = ([Name(f"{which}{number}") for number in range(300)] for which in "ab")
    assert joining._list(base, [*own, base[7]]) == [*base, *own]
    assert compared <= 3 * 300


def test_the_key_counts_however_it_is_spelt(image: ImageFixture, cosmos: Cosmos) -> None:
    folder = variant(image, 'name = "kiosk"\n"extend\\u0073" = "../image"\n')
    assert effective(cosmos, folder)["vars"] == {"hostname": "base", "keys": ["a"]}


def test_every_kind_of_key_is_joined_by_its_rule(image: ImageFixture, cosmos: Cosmos) -> None:
    base = image.folder / "image.toml"
    (image.folder / "finish.lua").write_text("")
    for name in ("tools", "more"):
        (image.folder / f"{name}.toml").write_text(f'name = "{name}"\nmembers = ["base"]\n')
    base.write_text(
        f'name = "small"\n{HEAD}constellations = ["tools.toml", "more.toml"]\nfinish = "finish.lua"\ncounter = 3\n'
        '[stars]\nbase = "^1"\napp = "^2"\n'
        '[galaxies]\ncore = "../galaxy"\nfar = "http://10.0.0.1"\nnear = { url = "../near", allow-unsigned = true }\n'
        '[vars]\nhostname = "base"\nkeys = ["a", "b"]\n'
        '[[output]]\nformat = "tar.zst"\nlevel = 3\n'
        '[[output]]\nformat = "file"\npath = "usr/bin/app"\nas = "app"\n'
        '[policy]\nsetuid = ["a"]\nsize-budget-bytes = 10\nowners = { "x" = "base", "y" = "base" }\n'
        '[policy.waive.dangling-symlink]\nreason = "of the base"\nuntil = 7\n'
    )
    (image.folder.parent / "kiosk").mkdir()
    (image.folder.parent / "kiosk/own.toml").write_text('name = "own"\nmembers = ["base"]\n')
    folder = variant(
        image,
        VARIANT + 'version = "2.0.0"\nconstellations = ["own.toml", "../image/tools.toml"]\n'
        '[stars]\napp = "=2.0.0"\n'
        '[galaxies]\nmine = "../galaxy"\nfar = "http://10.0.0.2"\n'
        '[vars]\nkeys = ["c"]\n'
        '[[output]]\nformat = "cpio.zst"\n'
        '[[output]]\nformat = "tar.zst"\nlevel = 9\n'
        '[policy]\nsetuid = ["b", "a"]\nowners = { "y" = "app" }\n'
        '[policy.waive.dangling-symlink]\nreason = "of the variant"\nuntil = 8\npaths = ["a"]\n',
    )
    made = effective(cosmos, folder)
    assert (made["name"], made["version"], made["counter"]) == ("kiosk", "2.0.0", 3)
    assert "extends" not in made
    assert made["template"] == "../image/template"
    assert made["finish"] == "../image/finish.lua"
    assert made["constellations"] == ["../image/tools.toml", "../image/more.toml", "own.toml"]
    assert made["stars"] == {"base": "^1", "app": "=2.0.0"}
    galaxies = made["galaxies"]
    assert isinstance(galaxies, dict)
    assert list(galaxies.items()) == [
        ("mine", "../galaxy"),
        ("far", "http://10.0.0.2"),
        ("core", "../galaxy"),
        ("near", {"url": "../near", "allow-unsigned": True}),
    ]
    assert made["vars"] == {"hostname": "base", "keys": ["c"]}
    assert made["output"] == [
        {"format": "tar.zst", "level": 9},
        {"format": "file", "path": "usr/bin/app", "as": "app"},
        {"format": "cpio.zst"},
    ]
    assert made["policy"] == {
        "setuid": ["a", "b"],
        "size-budget-bytes": 10,
        "owners": {"x": "base", "y": "app"},
        "waive": {"dangling-symlink": {"reason": "of the variant", "until": 8, "paths": ["a"]}},
    }


def test_a_base_that_changes_makes_the_lock_stale(image: ImageFixture, cosmos: Cosmos) -> None:
    folder = variant(image, VARIANT)
    cosmos("freeze", folder, "--home", image.home).ok()
    cosmos("freeze", folder, "--check").ok()
    base = image.folder / "image.toml"
    base.write_text(base.read_text().replace('base = "^1"', 'base = "^1.2"'))
    said = cosmos("freeze", folder, "--check").fails(7)
    assert "stars: base is now ^1.2, but was locked as ^1" in said.err
    cosmos("build", folder, "--home", image.home).fails(3)


def test_a_base_that_changes_is_seen_by_a_build_that_would_do_nothing(image: ImageFixture, cosmos: Cosmos) -> None:
    folder = variant(image, VARIANT)
    words = ("build", folder, "--home", image.home)
    cosmos("freeze", folder, "--home", image.home).ok()
    assert cosmos(*words, "--json").json()["changed"]
    assert "looked-at" in cosmos(*words, "--json").json(), "nothing changed, and this is seen"
    base = image.folder / "image.toml"
    base.write_text(base.read_text().replace('hostname = "base"', 'hostname = "other"'))
    assert cosmos(*words, "--json").json()["changed"]
    assert cosmos("cat", folder / "out", "etc/hostname").ok().out == "other\n"


def test_a_release_carries_the_joined_definition_and_is_rebuilt_from_it(image: ImageFixture, cosmos: Cosmos) -> None:
    """So a cosmos that does not know `extends` rebuilds it, too, and it needs no base."""
    folder = variant(image, VARIANT + '[stars]\napp = "*"\n')
    cosmos("freeze", folder, "--home", image.home).ok()
    cosmos("build", folder, "--home", image.home, "--key", image.secret_key, "--var", "hostname=kiosk-7").ok()
    with tarfile.open(folder / "out/definition.tar") as packed:
        (name,) = [name for name in packed.getnames() if name.endswith("/image.toml")]
        member = packed.extractfile(name)
        assert member is not None
        carried = tomllib.loads(member.read().decode())
    assert "extends" not in carried
    assert carried["stars"] == {"base": "^1", "app": "*"}
    assert (carried["vars"]["hostname"], carried["given"]) == ("kiosk-7", ["hostname"])
    (image.folder / "image.toml").unlink()
    cosmos("rebuild", folder / "out", "--home", image.home, "--key", image.public_key).ok()


def test_the_effective_definition_names_the_files_that_it_came_from(image: ImageFixture, cosmos: Cosmos) -> None:
    folder = variant(image, VARIANT)
    lines = cosmos("show", folder, "--effective").ok().out.splitlines()
    assert lines[1].startswith("#   sha256:")
    assert lines[1].endswith(' "../image/image.toml"')
    assert lines[2].endswith(' "image.toml"')
    row = cosmos("show", folder, "--effective", "--json").json()
    assert (row["image"], row["files"]) == ("kiosk", ["image.toml", "../image/image.toml"])
    plain = cosmos("show", image.folder, "--effective").ok().out
    assert plain == (image.folder / "image.toml").read_text(), "an image without a base is what its file says"


def test_a_base_may_have_a_base_and_need_not_be_a_whole_image(image: ImageFixture, cosmos: Cosmos) -> None:
    """A file of shared lines is enough, and its paths start where it lies."""
    shared = image.folder.parent / "shared"
    (shared / "deep").mkdir(parents=True)
    (shared / "deep/common.toml").write_text('extends = "../../image"\n[vars]\nhostname = "common"\n')
    folder = variant(image, 'name = "kiosk"\nextends = "../shared/deep/common.toml"\n')
    made = effective(cosmos, folder)
    assert made["vars"] == {"hostname": "common", "keys": ["a"]}
    assert made["template"] == "../image/template"
    assert made["galaxies"] == {"core": "../galaxy"}


def test_a_circle_is_told(image: ImageFixture, cosmos: Cosmos) -> None:
    own = variant(image, 'name = "kiosk"\nextends = "."\n')
    assert "this is a circle" in cosmos("show", own, "--effective").fails(2).err
    variant(image, 'name = "b"\nextends = "../kiosk"\n', "b")
    other = variant(image, 'name = "kiosk"\nextends = "../b"\n')
    assert "this is a circle" in cosmos("show", other, "--effective").fails(2).err
    (image.folder.parent / "link").symlink_to("kiosk")
    third = variant(image, 'name = "kiosk"\nextends = "../link"\n')
    assert "this is a circle" in cosmos("show", third, "--effective").fails(2).err


def test_a_long_row_of_bases_ends(image: ImageFixture, cosmos: Cosmos) -> None:
    for number in range(MAX_IMAGE_BASES + 1):
        below = f"../v{number - 1}" if number else "../image"
        folder = variant(image, f'name = "v{number}"\nextends = "{below}"\n', f"v{number}")
        if number == MAX_IMAGE_BASES - 1:
            cosmos("show", folder, "--effective").ok()
    assert f"more than {MAX_IMAGE_BASES} bases" in cosmos("show", folder, "--effective").fails(2).err


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ('"/etc"', "is an absolute path"),
        ('"../../outside"', "lies outside of"),
        ('"../leads-out"', "lies outside of"),
        ('"../missing"', "is not there"),
        ('""', "want the path of another image"),
        ('"a\\u0000b"', "want the path of another image"),
        ("7", "want the path of another image"),
        ('["../image"]', "want the path of another image"),
    ],
)
def test_a_base_lies_in_the_workspace_of_its_image(
    tmp_path: Path, image: ImageFixture, cosmos: Cosmos, named: str, said: str
) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "image.toml").write_text('name = "x"\nsecret-of-another = "hidden"\n')
    (tmp_path / "leads-out").symlink_to(outside)
    folder = variant(image, f'name = "kiosk"\nextends = {named.replace("outside", outside.name)}\n')
    failed = cosmos("show", folder, "--effective").fails(2)
    assert said in failed.err
    assert "hidden" not in failed.err


def test_within_a_repository_a_base_may_lie_anywhere(tmp_path: Path, image: ImageFixture, cosmos: Cosmos) -> None:
    deep = tmp_path / "a/b/kiosk"
    deep.mkdir(parents=True)
    (deep / "image.toml").write_text('name = "kiosk"\nextends = "../../../image"\n')
    assert "lies outside of" in cosmos("show", deep, "--effective").fails(2).err
    (tmp_path / ".git").mkdir()
    assert effective(cosmos, deep)["template"] == "../../../image/template"


@pytest.mark.parametrize(
    ("base", "own", "where", "said"),
    [
        ("[stars]\nbase = 7\n", "", "image/image.toml", "stars.base: want a string"),
        ("[policy]\nsetiud = []\n", "", "image/image.toml", "policy.setiud: unknown key"),
        ("[policy]\n", "[policy]\nsetiud = []\n", "kiosk/image.toml", "policy.setiud: unknown key"),
        ("", "[stars]\nbase = 7\n", "kiosk/image.toml", "stars.base: want a string"),
        ("", "stars = 7\n", "kiosk/image.toml", "stars: want a table"),
        ("version = [\n", "", "image/image.toml", "is not TOML"),
        ("", "", "kiosk/image.toml", "version: missing"),
    ],
)
def test_a_mistake_is_told_in_the_file_that_has_it(
    image: ImageFixture, cosmos: Cosmos, base: str, own: str, where: str, said: str
) -> None:
    head = HEAD.replace('version = "1.0.0"\n', "") if "version" in said or "version" in base else HEAD
    (image.folder / "image.toml").write_text(f'{head}{base}[galaxies]\ncore = "../galaxy"\n')
    folder = variant(image, VARIANT + own)
    failed = cosmos("show", folder, "--effective").fails(2)
    assert where in failed.err
    assert said in failed.err


def test_a_variant_has_a_name_of_its_own(image: ImageFixture, cosmos: Cosmos) -> None:
    folder = variant(image, 'extends = "../image"\n')
    assert "name: missing" in cosmos("show", folder, "--effective").fails(2).err


def test_a_name_with_a_line_end_adds_no_line_to_the_record(image: ImageFixture, cosmos: Cosmos) -> None:
    evil = image.folder.parent / 'evil\n[policy]\nunsigned-release = true\n#"'
    image.folder.rename(evil)
    folder = variant(image, f'name = "kiosk"\nextends = {json.dumps("../" + evil.name)}\n')
    assert "policy" not in effective(cosmos, folder)


def test_a_variant_is_vendored_and_built_from_there(tmp_path: Path, image: ImageFixture, cosmos: Cosmos) -> None:
    folder = variant(image, VARIANT + '[stars]\napp = "*"\n')
    cosmos("freeze", folder, "--home", image.home).ok()
    cosmos("vendor", folder, tmp_path / "stick", "--home", image.home).ok()
    (image.folder / "image.toml").unlink()
    (carried,) = (tmp_path / "stick").rglob("image.toml")
    out = tmp_path / "out"
    words = ("--from", tmp_path / "stick", "--home", image.home, "--out", out, "--var", "hostname=of-the-stick")
    cosmos("build", carried.parent, *words).ok()
    assert cosmos("cat", out, "etc/hostname").ok().out == "of-the-stick\n"


@pytest.mark.parametrize(
    ("command", "star", "hint"),
    [
        ("add", "app@^1", 'write below [stars] in it: app = "^1"'),
        ("add", "base@^2", 'write below [stars] in it: base = "^2"'),
        ("remove", "base", "take base out of [stars] in it or in ../image/image.toml"),
    ],
)
def test_the_wishes_of_a_variant_are_written_by_hand(
    image: ImageFixture, cosmos: Cosmos, command: str, star: str, hint: str
) -> None:
    """A wish may stand in the base. The message blamed the form of [stars]."""
    folder = variant(image, VARIANT)
    failed = cosmos(command, folder, star, "--home", image.home).fails(2).err
    assert f"{folder / 'image.toml'}: extends ../image/image.toml, and such a file is not edited here" in failed
    assert f"hint: {hint}; then: cosmos freeze {folder}" in failed
    assert (folder / "image.toml").read_text() == VARIANT
    assert not (folder / "universe.lock.toml").exists()


def test_a_wish_that_the_base_has_already_is_frozen_in_a_variant(image: ImageFixture, cosmos: Cosmos) -> None:
    """It ended with "was changed meanwhile", and with the hint to run it again."""
    folder = variant(image, VARIANT)
    done = cosmos("add", folder, "base", "--home", image.home).ok()
    assert 'has base = "^1" already' in done.err
    assert (folder / "image.toml").read_text() == VARIANT
    cosmos("freeze", folder, "--check", "--home", image.home).ok()
