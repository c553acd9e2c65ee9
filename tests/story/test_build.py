"""From a lock to a release, as a user does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

import cosmos
from cosmos.digest import Digest
from fakes.galaxies import StarSpec, make_galaxy
from fakes.images import APP, BASE, META, ImageFixture, make_image, write_image
from fakes.programs import Cosmos

OUTPUTS = """
[[output]]
format = "tar.zst"
[[output]]
format = "cpio.zst"
exclude = ["usr/share/**"]
[[output]]
format = "file"
path = "usr/bin/a?p"
as = "app"
"""


@pytest.fixture
def image(tmp_path: Path) -> ImageFixture:
    return make_image(tmp_path, tables=OUTPUTS)


@pytest.fixture
def frozen(image: ImageFixture, cosmos: Cosmos) -> ImageFixture:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    return image


@pytest.fixture
def built(tmp_path: Path, built_image: Callable[..., ImageFixture]) -> ImageFixture:
    return built_image(tmp_path, tables=OUTPUTS)


@pytest.mark.objective("SO-25")
def test_a_release_holds_what_proves_it(built: ImageFixture) -> None:
    assert sorted(file.name for file in built.out.iterdir()) == [
        "RELEASE.json",
        "RELEASE.json.dsse",
        "app",
        "definition.tar",
        "manifest.txt",
        "receipts.json",
        "report.html",
        "sbom.cdx.json",
        "sbom.spdx.json",
        "small-1.0.0-x86_64.cpio.zst",
        "small-1.0.0-x86_64.tar.zst",
        "universe.lock.toml",
    ]
    release = json.loads((built.out / "RELEASE.json").read_bytes())
    subjects = {row["name"]: row["digest"]["sha256"] for row in release["subject"]}
    assert subjects["app"] == Digest.of((built.out / "app").read_bytes()).hex
    resolved = [row["name"] for row in release["predicate"]["buildDefinition"]["resolvedDependencies"]]
    after = resolved.index("universe.lock.toml")
    assert {"image/image.toml", "image/template/template.toml"} <= set(resolved[:after])
    assert resolved[after:] == [
        "universe.lock.toml",
        "trust.toml",
        "galaxy:core",
        "base-1.2.0",
        "app-2.0.0",
        "everything-1.0.0",
    ]


def test_the_content_root_is_the_digest_of_the_manifest(built: ImageFixture, cosmos: Cosmos) -> None:
    verdict = cosmos("verify", built.out, "--key", built.public_key, "--json").json()
    assert verdict["content-root"] == Digest.of((built.out / "manifest.txt").read_bytes())


def test_what_tar_extracts_is_what_the_manifest_says(built: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    root = tmp_path / "extracted"
    root.mkdir()
    packed = next(built.out.glob("*.tar.zst"))
    subprocess.run(["tar", "--zstd", "-xpf", packed, "-C", root], check=True)
    for row in (built.out / "manifest.txt").read_text().splitlines():
        kind, mode, _, _, size, digest, _, _, path, target = row.split(" ")
        at = root / path
        facts = at.lstat()
        if kind == "symlink":
            assert str(at.readlink()) == target
        else:
            assert f"{facts.st_mode & 0o7777:04o}" == mode
        if kind == "file":
            assert (facts.st_size, Digest.of(at.read_bytes())) == (int(size), digest)
    listed = {str(at.relative_to(root)) for at in root.rglob("*")}
    assert listed == {row.split(" ")[8] for row in (built.out / "manifest.txt").read_text().splitlines()}


def test_python_and_bsdtar_list_the_same_image(built: ImageFixture) -> None:
    packed = next(built.out.glob("*.tar.zst"))
    with (
        packed.open("rb") as stream,
        zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True) as plain,
        tarfile.open(fileobj=plain, mode="r|") as tar,
    ):
        by_python = sorted(member.name for member in tar)
    by_bsdtar = subprocess.run(["bsdtar", "-tf", packed], check=True, capture_output=True, text=True).stdout.split()
    assert by_python == sorted(name.rstrip("/") for name in by_bsdtar)
    assert "usr/bin/app" in by_python


def test_the_script_saw_its_dependency_and_the_merged_folders(built: ImageFixture, cosmos: Cosmos) -> None:
    assert cosmos("cat", built.out, "/etc/has-tool").ok().out == "yes\n"
    assert cosmos("cat", built.out, "etc/app.conf").ok().out == "name = app\n"
    assert cosmos("cat", built.out, "usr/bin/tool").ok().out == "tool" * 1000
    listed = cosmos("ls", built.out, "bin", "usr/bin/app2").ok().out.splitlines()
    assert [row.split(" ")[8:] for row in listed] == [["bin", "usr/bin"], ["usr/bin/app2", "app"]]


def test_the_universe_inside_says_what_is_installed_and_why(built: ImageFixture, cosmos: Cosmos) -> None:
    universe = cosmos("cat", built.out, "var/lib/cosmos/universe.toml").ok().out
    assert '[installed.app]\nversion = "2.0.0"' in universe
    assert "test-author" not in universe  # nothing in the image depends on who signed it


def test_a_second_build_changes_nothing(built: ImageFixture, cosmos: Cosmos) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in built.out.iterdir()}
    again = cosmos("build", built.folder, "--home", built.home, "--key", built.secret_key, "--json").json()
    assert again["changed"] is False
    assert {file.name: file.stat().st_mtime_ns for file in built.out.iterdir()} == before


def test_a_changed_definition_makes_the_lock_stale(frozen: ImageFixture, cosmos: Cosmos) -> None:
    write_image(frozen, {"app": "^2"}, tables=OUTPUTS)
    refused = cosmos("build", frozen.folder, "--home", frozen.home).fails(3)
    assert "stale" in refused.err
    assert f"hint: cosmos freeze {frozen.folder}" in refused.err
    assert not frozen.out.exists()
    cosmos("freeze", frozen.folder, "--check", "--home", frozen.home).fails(7)


def test_offline_a_warm_store_is_enough(built: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    built.galaxy.path.rename(tmp_path / "away")
    row = cosmos("build", built.folder, "--home", built.home, "--key", built.secret_key, "--offline", "--json").json()
    assert row["changed"] is False


def test_offline_with_a_warm_store_a_new_release_can_be_made(
    built: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    built.galaxy.path.rename(tmp_path / "away")
    other = tmp_path / "other"
    cosmos("build", built.folder, "--home", built.home, "--key", built.secret_key, "--offline", "--out", other).ok()
    assert _files(other) == _files(built.out)


def test_offline_an_empty_store_names_the_first_missing_star(
    frozen: ImageFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    (frozen.home / "store").rename(tmp_path / "lost")
    failed = cosmos("build", frozen.folder, "--home", frozen.home, "--offline").fails(5)
    assert "base 1.2.0: is not in the store" in failed.err


def test_two_stars_that_own_one_path_are_named(tmp_path: Path, cosmos: Cosmos) -> None:
    rival = StarSpec("rival", "1.0.0", {"usr/bin/tool": b"mine"}, {"base": "*"})
    image = make_image(tmp_path, (BASE, rival))
    cosmos("freeze", image.folder, "--home", image.home).ok()
    failed = cosmos("build", image.folder, "--home", image.home).fails(3)
    assert "/usr/bin/tool: both base (file) and rival (file) bring it" in failed.err
    write_image(image, {"rival": "*"}, tables='[policy]\nowners = { "usr/bin/tool" = "rival" }\n')
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    assert cosmos("cat", image.out, "usr/bin/tool").ok().out == "mine"


def test_the_finish_script_may_change_any_path(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, more='finish = "finish.lua"')
    (image.folder / "finish.lua").write_text(
        'function install() chmod("/usr/bin/app", "4755") write("/etc/motd", "hello\\n") end\n'
    )
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    row = cosmos("ls", image.out, "usr/bin/app").ok().out.split(" ")
    assert row[1] == "4755"
    assert cosmos("cat", image.out, "usr/bin/app").ok().out == "app" * 5000
    cosmos("verify", image.out, "--key", image.public_key).ok()
    names = subprocess.run(
        ["bsdtar", "-tf", next(image.out.glob("*.tar.zst"))], check=True, capture_output=True, text=True
    ).stdout.split()
    assert names.count("usr/bin/app") == 1


def test_the_size_budget_is_kept(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, tables="[policy]\nsize-budget-bytes = 5000\n")
    cosmos("freeze", image.folder, "--home", image.home).ok()
    assert "the biggest stars are app" in cosmos("build", image.folder, "--home", image.home).fails(3).err


def test_a_folder_that_cosmos_did_not_make_is_left_alone(frozen: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    cosmos("build", frozen.folder, "--home", frozen.home, "--out", mine).fails(5)
    assert (mine / "thesis.txt").read_text() == "years"


def test_an_unsigned_galaxy_needs_the_word_twice_before_a_release_is_signed(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path)
    make_galaxy(
        image.galaxy.path,
        "core",
        [StarSpec("solo", "1.0.0", {"usr/a": b"a"}, signed=False)],
        image.signers,
        signed=False,
    )
    text = (image.folder / "image.toml").read_text().replace('everything = "*"', 'solo = "*"')
    (image.folder / "image.toml").write_text(text)
    cosmos("freeze", image.folder, "--home", image.home).fails(4)
    allowed = text.replace('core = "../galaxy"', 'core = { url = "../galaxy", allow-unsigned = true }')
    (image.folder / "image.toml").write_text(allowed)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home).ok()
    failed = cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).fails(4)
    assert "nobody signed solo" in failed.err
    (image.folder / "image.toml").write_text(allowed + "[policy]\nunsigned-release = true\n")
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()


def test_keep_root_writes_the_tree_to_look_at(frozen: ImageFixture, cosmos: Cosmos, tmp_path: Path) -> None:
    cosmos("build", frozen.folder, "--home", frozen.home, "--keep-root", tmp_path / "root").ok()
    assert (tmp_path / "root" / "usr" / "bin" / "app").read_bytes() == b"app" * 5000
    assert str((tmp_path / "root" / "bin").readlink()) == "usr/bin"


SOURCE_ROOT = Path(cosmos.__file__).parent.parent  # the program under test, wherever this checkout lies
Perturbation = Callable[[Path], dict[str, str]]


@pytest.mark.objective("SO-24")
def test_the_same_lock_gives_the_same_bytes_whatever_the_surroundings(tmp_path: Path) -> None:
    """Another folder, umask, time zone, locale, hash seed, number of jobs, keys and home: the same image."""
    releases = []
    for number, (umask, environment, jobs) in enumerate(
        (
            (0o022, {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}, "1"),
            (0o077, {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "4242"}, "2"),
            (0o022, {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"}, "8"),
        )
    ):
        image = make_image(tmp_path / f"some{'where' * number}", (BASE, APP, META), tables=OUTPUTS)
        run = [sys.executable, "-c", "from cosmos.cli.cosmos.main import main; main()"]
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(SOURCE_ROOT), **environment}
        for words in (["freeze", image.folder], ["build", image.folder, "--jobs", jobs, "--key", image.secret_key]):
            subprocess.run(
                [*run, *words, "--home", image.home], check=True, env=env, umask=umask, capture_output=True, cwd="/"
            )
        releases.append(_files(image.out))
    assert releases[0] == releases[1] == releases[2]


def _files(folder: Path) -> dict[str, tuple[int, Digest]]:
    return {file.name: (file.stat().st_mode, Digest.of(file.read_bytes())) for file in folder.iterdir()}


@pytest.mark.parametrize("form", ["tar.zst", "cpio.zst"])
def test_verify_says_whether_an_image_was_compared_with_the_manifest(tmp_path: Path, cosmos: Cosmos, form: str) -> None:
    image = make_image(tmp_path, tables=f'[[output]]\nformat = "{form}"\n')
    cosmos("freeze", image.folder, "--home", image.home).ok()
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    said = cosmos("verify", image.out, "--key", image.public_key).ok().out
    assert ("entries in the image" in said) == (form == "tar.zst")
    assert ("entries in the manifest (there is no tar.zst to compare with it)" in said) == (form == "cpio.zst")
    row = json.loads(cosmos("verify", image.out, "--key", image.public_key, "--json").ok().out)
    assert len(row["compared"]) == (form == "tar.zst")
