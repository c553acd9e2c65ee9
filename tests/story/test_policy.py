"""What a star may do in an image is the operator's word: a power that `[policy]` does not name is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cosmos.digest import Digest
from cosmos.sandbox import bubble_probe
from cosmos.tree.entry import Entry, Kind
from cosmos.treepath import TreePath
from fakes.galaxies import StarSpec
from fakes.images import ImageFixture, make_image
from fakes.programs import Cosmos
from fakes.shells import shell

Make = Callable[..., ImageFixture]


def entry(path: str, *, kind: Kind = "file", mode: int = 0o755, **fields: Any) -> Entry:
    return Entry(path=TreePath.parse(path), kind=kind, mode=mode, **fields)


def star(path: str, **fields: Any) -> dict[str, Entry]:
    return {path: entry(path, **fields)}


POWERS: dict[str, tuple[Mapping[str, Entry], str | None, str]] = {
    "setuid": (star("usr/bin/su", content=b"su", mode=0o4755), None, "/usr/bin/su runs with its owner's or group's"),
    "setcap": (star("usr/bin/ping", content=b"p"), 'copy("files/", "/") setcap("/usr/bin/ping", "cap_net_raw+ep")',
               "/usr/bin/ping has capabilities"),
    "mknod": ({}, 'mknod("/etc/null", "c", 1, 3)', "/etc/null is a device"),
    "chown": ({}, 'write("/etc/x", "") chown("/etc/x", 7, 8)', "/etc/x belongs to 7:8"),
    "outside": (star("opt/tool", content=b"t"), None, "/opt/tool lies outside /usr and /etc"),
}  # fmt: skip


@pytest.fixture
def make(tmp_path: Path, cosmos: Cosmos) -> Make:
    """An image of the one star `tool`, frozen; `policy` is what its [policy] says."""

    def image(files: Mapping[str, Entry], script: str | None, policy: str = "", more: tuple[StarSpec, ...] = ()):
        text = f"function install() {script} end" if script else None
        needs = {spec.name: "^1" for spec in more}
        stars = (StarSpec("tool", files=dict(files), script=text, dependencies=needs), *more)
        made = make_image(tmp_path, stars=stars, wishes={"tool": "^1"}, tables=f"[policy]\n{policy}\n")
        cosmos("freeze", made.folder, "--home", made.home).ok()
        return made

    return image


@pytest.mark.parametrize("power", POWERS)
def test_a_power_that_the_operator_did_not_give_is_refused_and_the_line_to_add_is_said(
    make: Make, cosmos: Cosmos, power: str
) -> None:
    files, script, problem = POWERS[power]
    image = make(files, script)
    refused = cosmos("build", image.folder, "--home", image.home)
    assert refused.code == 6
    assert problem in refused.err
    assert f'if it may, write under [policy] in image.toml:\n  {power} = ["tool"]' in refused.err
    assert not image.out.exists()
    definition = image.folder / "image.toml"
    definition.write_text(definition.read_text().replace("[policy]", f'[policy]\n{power} = ["tool"]'))
    cosmos("build", image.folder, "--home", image.home).ok()
    definition.write_text(definition.read_text().replace(f'{power} = ["tool"]', f'{power} = ["other"]'))
    again = cosmos("build", image.folder, "--home", image.home)  # its layer is in the store: that changes nothing
    assert again.code == 6
    assert f'{power} = ["other", "tool"]' in again.err


@pytest.mark.parametrize("file", ["config.toml", "trust.toml"])
def test_a_star_writes_no_policy_into_the_image_that_it_is_part_of(make: Make, cosmos: Cosmos, file: str) -> None:
    image = make(star(f"etc/cosmos/{file}", mode=0o644, content=b'[policy]\nsetuid = ["tool"]\n'), None)
    refused = cosmos("build", image.folder, "--home", image.home)
    assert refused.code == 6
    assert f"/etc/cosmos/{file} may be written by the operator alone" in refused.err


def test_a_layer_whose_script_looked_behind_an_odd_link_is_used_again(make: Make, cosmos: Cosmos) -> None:
    image = make({}, 'symlink("/a**b", "/etc/l") pcall(glob, "/etc/l/*") write("/etc/x", "")')
    cosmos("build", image.folder, "--home", image.home).ok()
    again = cosmos("build", image.folder, "--home", image.home, "--out", image.folder / "other").ok()
    assert "1 of them from the store" in again.err


def internal(image: ImageFixture) -> dict[str, Any]:
    """What RELEASE.json says of how the image was built."""
    release = json.loads((image.out / "RELEASE.json").read_bytes())
    return release["predicate"]["buildDefinition"]["internalParameters"]


RUNS = 'run{"/bin/sh", "-c", "for p in /*; do echo $p; done >list; echo made >made"}'
HIDES = f"pcall(function() {RUNS} end)"


@pytest.mark.parametrize(("path", "code"), [("bin/t", 0), ("lib64/t", 0), ("etc/t", 0), ("boot/t", 6), ("bin2/t", 6)])
def test_parts_of_usr_are_open_to_every_star_also_where_they_are_not_merged(
    make: Make, cosmos: Cosmos, path: str, code: int
) -> None:
    image = make(star(path, content=b"t"), None)
    (image.folder / "template" / "template.toml").write_text("merged-usr = false\n")
    built = cosmos("build", image.folder, "--home", image.home)
    assert built.code == code, built.err
    assert (f"/{path} lies outside /usr and /etc" in built.err) is (code == 6)


@pytest.mark.objective("SO-22")
def test_a_script_runs_programs_of_its_dependencies_with_consent_and_never_with_safe(
    make: Make, cosmos: Cosmos
) -> None:
    image = make({}, RUNS, 'outside = ["tool", "shell"]', (shell(),))
    refused = cosmos("build", image.folder, "--home", image.home)
    assert refused.code == 6
    assert "run() is not allowed in install()" in refused.err
    assert 'if it may, write under [policy] in image.toml:\n  run = ["tool"]' in refused.err
    definition = image.folder / "image.toml"
    definition.write_text(definition.read_text().replace("[policy]", '[policy]\nrun = ["tool"]'))
    cosmos("build", image.folder, "--home", image.home).ok()
    assert cosmos("cat", image.out, "made").ok().out == "made\n"
    seen = cosmos("cat", image.out, "list").ok().out.split()
    assert {"/proc", "/dev", "/tmp", "/stage"} <= set(seen) <= {
        "/bin", "/dev", "/lib", "/lib64", "/proc", "/sbin", "/stage", "/tmp", "/usr"
    }  # fmt: skip
    receipt = json.loads(cosmos("show", "tool", "--receipt", "--release", image.out).ok().out)
    ran = next(event for event in receipt["events"] if event["do"] == "run")
    assert ran["words"][0] == "/bin/sh"
    assert ran["before"] != ran["after"]
    safe = cosmos("build", image.folder, "--home", image.home, "--safe", "--out", image.out.parent / "safe")
    assert "--safe refuses run(), whatever the policy says" in safe.fails(6).err
    assert Digest.parse(ran["tools"])
    assert internal(image)["sandbox"]["programs"] == bubble_probe.WANTED


@pytest.mark.objective("SO-22")
def test_a_layer_that_was_made_with_consent_is_not_used_without_it(make: Make, cosmos: Cosmos) -> None:
    image = make({}, HIDES + ' write("/etc/x", "")', 'run = ["tool"]\noutside = ["tool", "shell"]', (shell(),))
    cosmos("build", image.folder, "--home", image.home).ok()
    assert " made -" in (image.out / "manifest.txt").read_text()
    definition = image.folder / "image.toml"
    definition.write_text(definition.read_text().replace('run = ["tool"]\n', ""))
    cosmos("build", image.folder, "--home", image.home).ok()
    assert " made -" not in (image.out / "manifest.txt").read_text()


def test_receipts_are_part_of_the_release(make: Make, cosmos: Cosmos) -> None:
    image = make({}, 'log("hello") write("/etc/x", "x") exists("/usr/lib")')
    cosmos("build", image.folder, "--home", image.home).ok()
    data = (image.out / "receipts.json").read_bytes()
    document = json.loads(data)
    assert data == json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert [event["do"] for event in document["stars"]["tool"]["events"]] == ["log", "read", "write", "read"]
    release = json.loads((image.out / "RELEASE.json").read_bytes())
    subjects = {row["name"]: row["digest"]["sha256"] for row in release["subject"]}
    assert subjects["receipts.json"] == Digest.of(data).hex
    shown = json.loads(cosmos("show", "tool", "--receipt", "--release", image.folder).ok().out)
    assert shown == document["stars"]["tool"]
    assert cosmos("show", "nothing", "--receipt", "--release", image.out).code == 3


@pytest.mark.objective("SO-23")
def test_what_the_sandbox_refused_is_in_the_provenance(make: Make, cosmos: Cosmos) -> None:
    image = make({}, 'write("/etc/x", "x")')
    cosmos("build", image.folder, "--home", image.home).ok()
    assert internal(image)["sandbox"] == {
        "canary": "refused", "capabilities": "none", "executable-memory": "refused", "no-new-privileges": "on",
        "processes": "refused", "program": "refused", "seccomp": "on", "secret": "absent", "socket": "refused",
    }  # fmt: skip


@pytest.mark.objective("SO-17")
def test_no_script_runs_and_nothing_is_unpacked_before_the_archive_is_verified(
    make: Make, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make(star("usr/x", content=b"x" * 1000), 'copy("files/", "/")')
    archive = next((image.galaxy.path / "packages").iterdir())
    data = bytearray(archive.read_bytes())
    data[-1] ^= 1
    archive.write_bytes(data)
    reached: list[str] = []
    monkeypatch.setattr("cosmos.nova.run.run_install", lambda _job: reached.append("script"))
    monkeypatch.setattr("cosmos.staging.stage.read_star", lambda *_rest, **_named: reached.append("unpacked"))
    refused = cosmos("build", image.folder, "--home", image.home, "--jobs", "1")
    assert refused.code == 4
    assert reached == []
