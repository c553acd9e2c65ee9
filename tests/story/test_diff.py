"""`cosmos diff`: which star, which path, which cause and which place in a file differ between two things."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard

from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.images import BASE, META, ImageFixture, copy_image, make_image
from fakes.programs import Cosmos, Outcome, write_programs

OUTPUTS = '[[output]]\nformat = "tar.zst"\n[[output]]\nformat = "file"\npath = "usr/bin/app"\nas = "app"\n'
NEWER = StarSpec(
    "app",
    "2.1.0",
    {"app": b"app" * 5000 + b"!", "app.conf.in": b"name = {{ name }}\ncolour = blue\n"},
    {"base": "^1.2"},
    script="""
function install()
  copy("app", "/usr/bin/app")
  chmod("/usr/bin/app", "4755")
  symlink("app", "/usr/bin/app2")
  render("app.conf.in", "/etc/app.conf", { name = "app" })
end
""",
)


@pytest.fixture(scope="module")
def two_once(tmp_path_factory: pytest.TempPathFactory, succeed: Callable[..., None]) -> ImageFixture:
    """Two releases of one image, `old` and its `out`: the second has a newer version of app."""
    image = make_image(tmp_path_factory.mktemp("two"), tables=OUTPUTS + '[policy]\nsetuid = ["app"]\n')
    succeed("freeze", image.folder, "--home", image.home)
    succeed("build", image.folder, "--home", image.home, "--key", image.secret_key)
    shutil.copytree(image.out, image.folder.parent / "old")
    make_galaxy(image.galaxy.path, "core", (BASE, NEWER, META), image.signers, seq=2)
    succeed("freeze", image.folder, "--home", image.home, "--upgrade")
    succeed("build", image.folder, "--home", image.home, "--key", image.secret_key)
    return image


@pytest.fixture
def two(two_once: ImageFixture, tmp_path: Path) -> tuple[ImageFixture, Path, Path]:
    """The two releases, for a test to change as it likes."""
    image = copy_image(two_once, tmp_path)
    return image, tmp_path / "old", image.out


def demand_app_changed(row: dict[str, Any]) -> None:
    assert row["stars"] == [{"name": "app", "before": "2.0.0", "after": "2.1.0"}]
    assert {one["path"]: (one["star"], one["causes"]) for one in row["differences"]} == {
        "/etc/app.conf": ("app", ["content"]),
        "/etc/has-tool": ("app", ["removed"]),
        "/usr/bin/app": ("app", ["content", "mode"]),
        "/var/lib/cosmos/universe.toml": ("template", ["content"]),
    }


def test_two_releases_are_told_apart_star_by_star(two: tuple[ImageFixture, Path, Path], cosmos: Cosmos) -> None:
    _, old, new = two
    found = cosmos("diff", old, new, "--json").fails(7)
    row = json.loads(found.out)
    demand_app_changed(row)
    inside = {one["path"]: one["inside"] for one in row["differences"]}
    assert inside["/etc/app.conf"] == ["line 2: +colour = blue"]
    assert row["files"] == ["app: 15,000 -> 15,001 bytes"]
    assert {"star": "app", "now": True, "what": '{"do":"chmod","mode":"4755","path":"usr/bin/app"}'} in row["scripts"]
    assert set(row["documents"]) == {"universe.lock.toml", "RELEASE.json"}
    assert 'star.app.version: "2.0.0" -> "2.1.0"' in row["documents"]["universe.lock.toml"]


def test_the_answer_for_people_names_star_path_cause_and_line(
    two: tuple[ImageFixture, Path, Path], cosmos: Cosmos
) -> None:
    _, old, new = two
    said = cosmos("diff", old, new).fails(7)
    lines = said.out.splitlines()
    assert lines[:4] == [f"--- {old}", f"+++ {new}", "stars:", "  app: 2.0.0 -> 2.1.0"]
    assert "app: 3 paths" in lines
    assert "  content  /etc/app.conf  11 -> 25 bytes" in lines
    assert "             line 2: +colour = blue" in lines
    assert lines[-1].endswith("paths differ: 1 removed, 3 content, 1 mode")
    assert said.err == (
        f"cosmos: error: {new}: differs from {old}: 4 paths, 2 documents, 1 other file, what scripts do\n"
    )


def test_release_notes_name_stars_licences_rights_and_what_is_fetched(
    two: tuple[ImageFixture, Path, Path], cosmos: Cosmos
) -> None:
    _, old, new = two
    notes = cosmos("diff", old, new, "--md").fails(7).out
    assert "| app | 2.0.0 | 2.1.0 | `MIT` |" in notes
    assert "| app | `/etc/app.conf` | content | `11 -> 25 bytes`; `line 2: +colour = blue` |" in notes
    assert "- `/usr/bin/app` of app: `15,000 -> 15,001 bytes, 0755 -> 4755, runs with its owner's rights`" in notes
    assert "- app now does `" in notes
    sizes = {row["layer"]: row for row in json.loads(cosmos("diff", old, new, "--json").fails(7).out)["layers"]}
    assert set(sizes) == {"app-2.1.0", "template", "end"} - ({"end"} - set(sizes))
    fetched = sum(row["packed-bytes-after"] for row in sizes.values())
    assert f"{len(sizes)} layers with other packed bytes: {fetched:,} bytes to fetch." in notes
    layer = sizes["app-2.1.0"]
    assert f"| app-2.1.0 | {layer['packed-bytes-before']:,} | {layer['packed-bytes-after']:,} |" in notes


def test_another_licence_of_the_same_version_is_named(
    two: tuple[ImageFixture, Path, Path], cosmos: Cosmos, tmp_path: Path
) -> None:
    _, _, new = two
    other = tmp_path / "other"
    shutil.copytree(new, other)
    bill = other / "sbom.cdx.json"
    bill.write_text(bill.read_text().replace('"expression": "MIT"', '"expression": "GPL-3.0-only"'))
    row = json.loads(cosmos("diff", new, other, "--json").ok().out)
    assert row["licences"]["base"] == {"before": "MIT", "after": "GPL-3.0-only"}
    assert "- base: `MIT` → `GPL-3.0-only`" in cosmos("diff", new, other, "--md").ok().out
    (other / "sbom.cdx.json").unlink()
    assert json.loads(cosmos("diff", new, other, "--json").ok().out)["licences"] == {}


def test_release_notes_hold_nothing_that_markdown_would_act_on(tmp_path: Path, cosmos: Cosmos) -> None:
    """The notes of a release become a comment: a file in it must not mention people, link or forge a row."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    (old / "conf").write_text("a\n")
    (new / "conf").write_text("<img src=x> @root | `code` ``\n")
    (new / "``tick`|bar").write_text("x")
    (old / "link").symlink_to("old")
    (new / "link").symlink_to("x\n| forged | row |\n")
    rows = [line for line in cosmos("diff", old, new, "--md").fails(7).out.splitlines() if line.startswith("|")]
    assert rows[2:] == [
        f"| - | ```/``tick`\\|bar``` | added | `file 0644 {os.getuid()}:{(new / 'conf').stat().st_gid}, 1 bytes` |",
        "| - | `/conf` | content | `2 -> 30 bytes`; `line 1: -a`; ``` line 1: +<img src=x> @root \\| `code` `` ``` |",
        "| - | `/link` | link | `old -> x\\x0a\\| forged \\| row \\|\\x0a` |",
    ]


def test_no_name_and_no_value_forges_a_line(tmp_path: Path, cosmos: Cosmos) -> None:
    for name, value in (("a.toml", 1), ("b.toml", 2)):
        (tmp_path / name).write_text(f'"key\\n+++ forged" = {value}\n')
    said = cosmos("diff", tmp_path / "a.toml", tmp_path / "b.toml").fails(7).out
    assert said.splitlines()[3:] == ["  key\\n+++ forged: 1 -> 2", "1 value differs"]


def test_a_toml_and_a_json_document_are_compared_by_their_values(tmp_path: Path, cosmos: Cosmos) -> None:
    (tmp_path / "a.toml").write_text("a = 1\nb = 2\n")
    (tmp_path / "b.json").write_text('{"a": 1, "b": 3}')
    assert "  b: 2 -> 3\n" in cosmos("diff", tmp_path / "a.toml", tmp_path / "b.json").fails(7).out
    assert "  b: 3 -> 2\n" in cosmos("diff", tmp_path / "b.json", tmp_path / "a.toml").fails(7).out


def test_the_root_of_an_image_has_its_stars(
    two: tuple[ImageFixture, Path, Path], cosmos: Cosmos, tmp_path: Path
) -> None:
    """A nebula has no layer, but stands in the universe: it is not called added. Owners are the universe's."""
    _, old, new = two
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "--zstd", "-xpf", next(new.glob("*.tar.zst")), "-C", root], check=True)
    said = cosmos("diff", new, root, "--ignore", "owner").ok().out
    assert said.splitlines()[2:] == ["the same"]
    row = json.loads(cosmos("diff", old, root, "--ignore", "owner", "--json").fails(7).out)
    demand_app_changed(row)


def test_a_release_is_the_same_as_itself_and_as_its_image_s_folder(
    two: tuple[ImageFixture, Path, Path], cosmos: Cosmos
) -> None:
    image, _, new = two
    assert cosmos("diff", new, image.folder).ok().out.splitlines()[-1] == "the same"


def test_an_image_is_compared_with_a_folder_that_was_unpacked_from_it(
    two: tuple[ImageFixture, Path, Path], cosmos: Cosmos, tmp_path: Path
) -> None:
    _, _, new = two
    packed = next(new.glob("*.tar.zst"))
    root = tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "--zstd", "-xpf", packed, "-C", root], check=True)
    same = cosmos("diff", packed, root, "--ignore", "owner")
    assert same.ok().out.splitlines()[-1] == "the same"
    (root / "etc" / "hostname").write_text("other\n")
    (root / "usr" / "bin" / "app").chmod(0o755)
    row = json.loads(cosmos("diff", packed, root, "--ignore", "owner", "--json").fails(7).out)
    assert {one["path"]: one["causes"] for one in row["differences"]} == {
        "/etc/hostname": ["content"],
        "/usr/bin/app": ["mode"],
    }
    assert [one["star"] for one in row["differences"]] == ["template", "app"]


def test_a_repacked_image_has_the_same_contents(
    two: tuple[ImageFixture, Path, Path], cosmos: Cosmos, tmp_path: Path
) -> None:
    image, _, new = two
    out = tmp_path / "other-level"
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key, "--level", "1", "--out", out).ok()
    first, second = (next(folder.glob("*.tar.zst")) for folder in (new, out))
    said = cosmos("diff", first, second).ok()
    assert said.out.splitlines()[-1].startswith("the same contents, packed differently: ")
    assert cosmos("diff", first, second, "--packed").fails(7).err.startswith("cosmos: error: ")


def test_two_locks_are_compared_value_by_value(two: tuple[ImageFixture, Path, Path], cosmos: Cosmos) -> None:
    _, old, new = two
    said = cosmos("diff", old / "universe.lock.toml", new / "universe.lock.toml").fails(7).out
    assert '  star.app.version: "2.0.0" -> "2.1.0"' in said.splitlines()
    assert "star.base.version" not in said


@pytest.mark.parametrize("made", ["missing", "strange", "damaged", "kinds", "empty"])
def test_what_cannot_be_compared_is_named(
    made: str, two: tuple[ImageFixture, Path, Path], cosmos: Cosmos, tmp_path: Path
) -> None:
    _, _, new = two
    packed = next(new.glob("*.tar.zst"))
    other = tmp_path / "other.tar.zst"
    wanted = 2
    match made:
        case "missing":
            other = tmp_path / "nothing"
        case "strange":
            other = tmp_path / "picture.png"
            other.write_bytes(b"\x89PNG")
        case "damaged":
            data = bytearray(packed.read_bytes())
            data[len(data) // 2] ^= 1
            other.write_bytes(data)
            wanted = 4
        case "kinds":
            other = new / "universe.lock.toml"
        case "empty":
            other.write_bytes(b"")
    said: Outcome = cosmos("diff", packed, other).fails(wanted)
    assert str(other) in said.err and said.out == ""


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.tar", b""),
        ("a.tar", b"hello\n" * 200),
        ("a.tar.gz", b""),
        ("a.tgz", b"garbage"),
        ("a.tar.xz", b"garbage"),
        ("a.tar.bz2", b"garbage"),
        ("a.tar.zst", b""),
        ("a.tar.zst", b"hello"),
    ],
)
def test_what_never_was_an_archive_is_malformed_with_the_way_out(
    tmp_path: Path, cosmos: Cosmos, name: str, data: bytes
) -> None:
    """Two empty files are no archives that somebody damaged."""
    (tmp_path / name).write_bytes(data)
    told = cosmos("diff", tmp_path / name, tmp_path / name).fails(2).err
    found = "is empty" if not data else f"does not begin as a {name.removeprefix('a')} file does"
    assert f"{tmp_path / name}: is not an archive: it {found}" in told
    assert "hint: name two things of one kind" in told


@pytest.mark.parametrize("command", ["lint", "ls"])
def test_a_plain_archive_is_not_an_image_and_the_way_out_is_told(tmp_path: Path, cosmos: Cosmos, command: str) -> None:
    file = tmp_path / "plain.tar.zst"
    file.write_bytes(zstandard.compress(bytes(1024)))
    told = cosmos(command, file).fails(2).err
    assert f"{file}: is a plain archive, or an image that was cut off: it has no seek table" in told
    assert f"hint: an image is what cosmos build makes; to list an archive: tar --zstd -tf {file}" in told


def test_a_star_s_archive_is_compared_as_a_tar(tmp_path: Path, cosmos: Cosmos) -> None:
    signers = make_signers()
    first = make_galaxy(tmp_path / "a", "core", (BASE,), signers)
    second = make_galaxy(
        tmp_path / "b", "core", (replace(BASE, files={**BASE.files, "bin/tool": b"tool" * 999}),), signers
    )
    archives = [galaxy.archive("base-1.2.0") for galaxy in (first, second)]
    row = json.loads(cosmos("diff", *archives, "--json").fails(7).out)
    assert [one["path"] for one in row["differences"] if one["path"].endswith("tool")] == ["/files/bin/tool"]
    assert zstandard.get_frame_parameters(archives[0].read_bytes()).content_size > 0


def test_an_answer_is_utf_8_in_every_locale_and_for_every_name(tmp_path: Path) -> None:
    """`--md` has an arrow, and a name on a disk is bytes: both ended in a traceback."""
    program = write_programs(tmp_path / "bin") / "cosmos"
    strange = os.fsencode(tmp_path) + b"/\xff"
    Path(os.fsdecode(strange)).mkdir()
    ascii_alone = {"PATH": os.defpath, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

    def said(form: str) -> bytes:
        words = [program, "diff", form, strange, strange]
        return subprocess.run(words, env=ascii_alone, check=True, capture_output=True).stdout

    assert said("--md").decode().startswith(f"## `{tmp_path}/\\udcff` → ")
    assert os.fsencode(json.loads(said("--json"))["before"]) == strange
