"""`cosmos lint`: faults of a release are named, waived with a reason, and warned of by the build."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.galaxies import StarSpec
from fakes.images import EPOCH, ImageFixture, make_image, write_image
from fakes.programs import Cosmos, Outcome

KEY = b"-----BEGIN PRIVATE KEY-----\n" + b"M" * 64 + b"\n"
TOOL = StarSpec(
    "tool",
    "1.0.0",
    {"tool": b"#!/usr/bin/nothing\n", "key": KEY},
    script="""
function install()
  copy("tool", "/usr/bin/tool")
  chmod("/usr/bin/tool", "0755")
  copy("key", "/etc/tool.key")
  symlink("nowhere", "/etc/tool.conf")
end
""",
)
PLAIN = StarSpec("plain", "1.0.0", {"usr/share/plain": b"x"})
OUTPUT = '[[output]]\nformat = "tar.zst"\n'
WAIVED = """
[policy.waive.private-key]
reason = "a key for tests, which opens nothing"
until = 2
[policy.waive.script-interpreter]
reason = "made at the first start"
until = 2
paths = ["usr/bin/tool"]
[policy.waive.dangling-symlink]
reason = "made at the first start"
until = 2
"""
RULES = ["dangling-symlink", "private-key", "script-interpreter"]


def built(cosmos: Cosmos, image: ImageFixture, *more: str) -> Outcome:
    cosmos("freeze", image.folder, "--home", image.home).ok()
    return cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key, *more).ok()


def test_a_clean_release_is_exit_0_and_its_build_warns_of_nothing(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, (PLAIN,), tables=OUTPUT)
    assert "lint" not in built(cosmos, image).err
    said = cosmos("lint", image.out).ok()
    assert said.out.splitlines()[-1].endswith("17 rules, 0 findings")


def test_each_finding_has_its_rule_path_owner_and_hint_and_the_exit_code_is_7(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, (TOOL,), tables=OUTPUT)
    said = built(cosmos, image)
    assert "lint: private-key: /etc/tool.key has a private key in PEM at byte 0" in said.err
    assert f"cosmos lint {image.out}" in said.err
    found = cosmos("lint", image.out).fails(7)
    assert "3 findings of 3 rules" in found.err
    assert 'under [policy] in image.toml: waive.dangling-symlink = { reason = "…", until = COUNTER }' in found.err
    assert "  /etc/tool.key has a private key in PEM at byte 0  [tool-1.0.0]" in found.out.splitlines()
    assert "M" * 32 not in found.out + found.err + said.err + said.out
    row = json.loads(cosmos("lint", image.folder, "--json").fails(7).out)
    assert [(one["rule"], one["path"], one["owner"]) for one in row["findings"]] == [
        ("dangling-symlink", "etc/tool.conf", "tool-1.0.0"),
        ("private-key", "etc/tool.key", "tool-1.0.0"),
        ("script-interpreter", "usr/bin/tool", "tool-1.0.0"),
    ]
    assert all(one["hint"] for one in row["findings"])


def test_the_build_s_json_counts_findings(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, (TOOL,), tables=OUTPUT)
    assert built(cosmos, image, "--json").json()["lint"] == dict.fromkeys(RULES, 1)


def test_waivers_are_carried_in_the_release_and_end_with_its_counter(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, (TOOL,), tables=OUTPUT + WAIVED, more="counter = 2")
    assert "lint" not in built(cosmos, image).err
    release = json.loads((image.out / "RELEASE.json").read_text())
    stated = release["predicate"]["buildDefinition"]["externalParameters"]["policy"]
    assert sorted(stated["waive"]) == RULES
    assert stated["waive"]["private-key"] == {"reason": "a key for tests, which opens nothing", "until": 2}
    said = cosmos("lint", image.out).ok()
    assert "waived: private-key: 1 path, until release 2: a key for tests, which opens nothing" in said.out
    cosmos("verify", image.out, "--key", image.public_key).ok()

    write_image(image, {"tool": "*"}, tables=OUTPUT + WAIVED, more="counter = 3")
    assert "private-key: its waiver has expired" in built(cosmos, image).err
    said = cosmos("lint", image.out).fails(7)
    assert [line for line in said.out.splitlines() if "expired" in line] == [
        f"its waiver has expired: {rule}" for rule in RULES
    ]


def test_powers_are_carried_in_the_release(tmp_path: Path, cosmos: Cosmos) -> None:
    star = StarSpec(
        "su",
        "1.0.0",
        {"su": b"x"},
        script='function install() copy("su", "/usr/bin/su") chmod("/usr/bin/su", "4755") end',
    )
    image = make_image(tmp_path, (star,), tables=f'{OUTPUT}[policy]\nsetuid = ["su"]\n')
    built(cosmos, image)
    cosmos("lint", image.out).ok()
    release = json.loads((image.out / "RELEASE.json").read_text())
    stated = release["predicate"]["buildDefinition"]["externalParameters"]
    assert stated.pop("policy") == {"powers": {"setuid": ["su"]}}
    (image.out / "RELEASE.json").write_text(json.dumps(release))
    assert "/usr/bin/su runs with the rights of its owner (4755, 0:0)" in cosmos("lint", image.out).fails(7).out


@pytest.mark.parametrize(
    ("more", "tables", "wanted"),
    [
        ("", WAIVED, "counter: is missing"),
        ("counter = 1", '[policy.waive.private-keys]\nreason = "x"\nuntil = 1\n', "did you mean private-key?"),
        (
            "counter = 1",
            '[policy.waive.setuid]\nreason = " "\nuntil = 1\n',
            "policy.waive.setuid.reason: want a reason",
        ),
        ("counter = 1", '[policy.waive.setuid]\nreason = "x"\n', "policy.waive.setuid.until"),
        ("counter = 1", '[policy.waive.setuid]\nreason = "x"\nuntil = 0\n', "policy.waive.setuid.until"),
        ("counter = 1", '[policy.waive.setuid]\nreason = "x"\nuntil = 1\nwhy = ""\n', "policy.waive.setuid.why"),
        (
            "counter = 1",
            '[policy.waive.setuid]\nreason = "x"\nuntil = 1\npaths = ["../x"]\n',
            "policy.waive.setuid.paths",
        ),
    ],
)
def test_a_waiver_needs_a_rule_a_reason_and_an_end(
    tmp_path: Path, cosmos: Cosmos, more: str, tables: str, wanted: str
) -> None:
    image = make_image(tmp_path, (PLAIN,), tables=OUTPUT)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    write_image(image, {"plain": "*"}, tables=OUTPUT + tables, more=more)
    assert wanted in cosmos("build", image.folder, "--home", image.home).fails(2).err


def test_a_folder_of_the_builder_in_a_file_is_found(tmp_path: Path, cosmos: Cosmos) -> None:
    star = StarSpec("tool", "1.0.0", {"usr/share/x": b"built in /home/somebody/project\n"})
    image = make_image(tmp_path, (star,), tables=OUTPUT)
    built(cosmos, image)
    cosmos("lint", image.out).ok()
    said = cosmos("lint", image.out, "--builder-folder", "/home/somebody").fails(7)
    assert "/usr/share/x has a folder of the builder at byte 9" in said.out


def test_a_release_without_a_layered_image_is_exit_2_and_its_build_says_that_it_was_not_judged(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    image = make_image(tmp_path, (PLAIN,), tables='[[output]]\nformat = "cpio.zst"\n')
    assert "not linted" in built(cosmos, image).err
    cosmos("lint", image.out).fails(2)


@pytest.mark.parametrize("policy", [1, {"waive": 1}, {"waive": {"setuid": {}}}, {"powers": {"setuid": 1}}])
def test_a_release_with_a_malformed_policy_is_exit_2(tmp_path: Path, cosmos: Cosmos, policy: object) -> None:
    image = make_image(tmp_path, (PLAIN,), tables=OUTPUT)
    built(cosmos, image)
    release = json.loads((image.out / "RELEASE.json").read_text())
    release["predicate"]["buildDefinition"]["externalParameters"]["policy"] = policy
    (image.out / "RELEASE.json").write_text(json.dumps(release))
    assert "externalParameters.policy" in cosmos("lint", image.out).fails(2).err


def test_the_times_of_a_build_are_not_stray(tmp_path: Path, cosmos: Cosmos) -> None:
    image = make_image(tmp_path, (PLAIN,), tables=OUTPUT)
    built(cosmos, image)
    release = json.loads((image.out / "RELEASE.json").read_text())
    internal = release["predicate"]["buildDefinition"]["internalParameters"]
    assert internal["sourceDateEpoch"] == EPOCH
    internal["sourceDateEpoch"] = EPOCH - 1
    (image.out / "RELEASE.json").write_text(json.dumps(release))
    said = cosmos("lint", image.out).fails(7)
    assert "stray-time: " in said.out


def test_a_build_warns_of_what_cosmos_lint_finds_cold_and_warm_and_after_one_change(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    """The build looks at the lines and layers that it has packed; `cosmos lint` reads the image."""
    library = StarSpec("library", "1.0.0", {"usr/lib/libx.so": b"x", "etc/loop": b"y", "etc/twin": b"z"})
    image = make_image(tmp_path, (TOOL, PLAIN, library), {"tool": "*", "plain": "*", "library": "*"}, tables=OUTPUT)
    hostname = image.folder / "template" / "root" / "etc" / "hostname.j2"
    cosmos("freeze", image.folder, "--home", image.home).ok()
    for text in ("first\n", "first\n", KEY.decode()):
        hostname.write_text(text)
        (image.out / "RELEASE.json").unlink(missing_ok=True)  # or nothing would have changed
        (image.out / "manifest.txt").unlink(missing_ok=True)
        said = cosmos("build", image.folder, "--home", image.home, "--out", tmp_path / "out", "--json").json()
        found = json.loads(cosmos("lint", tmp_path / "out", "--json").fails(7).out)["findings"]
        counted = {row["rule"]: 0 for row in found}
        for row in found:
            counted[row["rule"]] += 1
        assert said["lint"] == counted
        assert set(RULES) <= set(counted)
    assert counted["private-key"] == 2
