"""Whoever can write as root forges a file and its row in universe.toml together: `verify` asks what was signed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.roles import STAR_TYPE
from fakes.forgeries import EVIL
from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.installed_systems import STARS, System
from fakes.programs import Cosmos

COPIES = """
function install()
  copy("m", "/usr/lib/made/m")
  symlink("m", "/usr/lib/made/l")
  if exists("/usr/lib/libz.so") then mkdir("/usr/lib/made/saw-zlib") end
end
"""


@pytest.fixture
def system(tmp_path: Path, cosmos: Cosmos) -> System:
    return System(tmp_path, cosmos)


@pytest.mark.objective("SO-03")
def test_a_file_and_its_row_forged_together_differ_from_what_was_signed(system: System) -> None:
    system.run("verify").ok()
    system.forge("usr/bin/tool")
    refused = system.run("verify").fails(7).err
    assert f"/usr/bin/tool (tool): has other bytes: it is {Digest.of(EVIL)}" in refused
    assert "/usr/bin/tool (tool): its record in universe.toml says digest" in refused
    assert "zlib" not in refused
    assert "2 stars" in system.run("verify", "--recorded").ok().out, "the record alone knows nothing of it"


FORGERIES: dict[str, tuple[Callable[[str], str], str]] = {
    "a mode": (
        lambda text: re.sub(r"file 0755 ([^\"]* usr/bin/tool -)", r"file 4755 \1", text),
        "/usr/bin/tool (tool): its record in universe.toml says mode 4755, but its signed archive brings 0755",
    ),
    "a row that is left out": (
        lambda text: re.sub(r'"file [^"]* usr/bin/tool -",?', "", text).replace('"/usr/bin/tool",', ""),
        "/usr/bin/tool (tool): its signed archive brings it, but universe.toml leaves it out",
    ),
    "a row more": (
        lambda text: re.sub(r'("file [^"]* )usr/bin/tool -"', r'\g<0>, \1usr/bin/door -"', text).replace(
            '"/usr/bin/tool"', '"/usr/bin/tool", "/usr/bin/door"'
        ),
        "/usr/bin/door (tool): its record in universe.toml has it, but its signed archive does not bring it",
    ),
    "a row given to another star": (
        lambda text: _moved(text),
        "/usr/bin/tool (tool): its signed archive brings it, but universe.toml leaves it out and gives it to zlib",
    ),
    "an archive": (
        lambda text: re.sub(r'(\[installed\.tool\].*?archive = ")[^"]*', rf"\g<1>{Digest.of(EVIL)}", text, flags=re.S),
        "installed.tool: says archive",
    ),
    "a licence": (
        lambda text: re.sub(r'(\[installed\.tool\].*?license = ")[^"]*', r"\g<1>none", text, flags=re.S),
        "installed.tool: says license none, but its signed statement says MIT",
    ),
    "a need": (
        lambda text: re.sub(r"(\[installed\.tool\].*?needs = \[)[^\]]*", r"\g<1>", text, flags=re.S),
        "installed.tool: says needs [], but its signed statement says ['zlib']",
    ),
}


def _moved(text: str) -> str:
    row = re.search(r'"file [^"]* usr/bin/tool -"', text)
    assert row
    text = re.sub(r'"file [^"]* usr/bin/tool -",?', "", text).replace('"/usr/bin/tool",', "")
    head, tail = text.split("[installed.zlib]")
    tail = tail.replace("files = [", 'files = ["/usr/bin/tool", ', 1).replace(
        "entries = [", f"entries = [{row[0]}, ", 1
    )
    return f"{head}[installed.zlib]{tail}"


@pytest.mark.objective("SO-03")
@pytest.mark.parametrize("what", FORGERIES)
def test_a_forged_record_is_named(system: System, what: str) -> None:
    change, sentence = FORGERIES[what]
    system.edit(change)
    assert sentence in system.run("verify").fails(7).err


@pytest.mark.objective("SO-03")
def test_a_record_that_names_another_galaxy_is_no_proof_and_is_counted_apart(system: System) -> None:
    system.forge("usr/bin/tool")
    system.edit(lambda text: re.sub(r'(\[installed\.tool\].*?galaxy = ")core', r"\g<1>other", text, flags=re.S))
    assert "; 1 star as signed, 1 as recorded only" in system.run("verify").ok().out
    row = system.run("verify", "--json").json()
    assert row["as-signed"] == ["zlib"]
    assert row["as-recorded-only"] == [{"name": "tool", "why": "no signed statement of it is at hand"}]
    refused = system.run("verify", "--trust").fails(7).err
    assert "tool 1.0.0: cannot be judged: its statement is in no galaxy here" in refused
    assert "zlib" not in refused


def test_each_star_must_be_trusted_now_if_that_is_demanded(system: System) -> None:
    assert system.run("verify", "--trust", "--json").json()["cannot-be-trusted"] == []
    shutil.rmtree(system.root / "var/cache")
    system.galaxy.path.rename(system.where / "stick")
    assert "0 stars as signed, 2 as recorded only" in system.run("verify").ok().out
    refused = system.run("verify", "--trust").fails(7).err
    assert "2 stars cannot be trusted" in refused
    system.run("verify", "--trust", "--from", system.where / "stick").ok()


def test_without_trust_anchors_no_star_is_trusted(system: System) -> None:
    (system.root / "etc/cosmos/trust.toml").unlink()
    assert "0 stars as signed, 2 as recorded only" in system.run("verify").ok().out
    assert (
        "zlib 1.3.1: cannot be judged: the system has no trust anchors" in system.run("verify", "--trust").fails(7).err
    )


@pytest.mark.objective("SO-03")
def test_a_stick_is_judged_by_the_keys_of_the_system(system: System) -> None:
    """The thief's stick has a galaxy of the right name, with a `tool` of its own, signed by a key of its own."""
    shutil.rmtree(system.root / "var/cache")
    shutil.rmtree(system.galaxy.path)
    evil = (StarSpec("tool", "1.0.0", {"usr/bin/tool": EVIL}),)
    make_galaxy(system.where / "stick/core", "core", evil, make_signers("thief"))
    system.forge("usr/bin/tool")
    row = system.run("verify", "--json", "--from", system.where / "stick").json()
    assert row["as-signed"] == []


@pytest.mark.objective("SO-03")
def test_a_forged_statement_in_the_galaxy_vouches_for_nothing(system: System) -> None:
    thief = SecretKey.generate(KeyName("thief"), "author")
    shutil.rmtree(system.root / "var/cache")
    system.forge("usr/bin/tool")
    file = system.galaxy.statement("tool-1.0.0")
    file.write_text(file.read_text().replace("MIT", "ISC"))
    Path(f"{file}.dsse").write_bytes(thief.sign(STAR_TYPE, file.read_bytes()))
    assert system.run("verify", "--json").json()["as-signed"] == ["zlib"]
    assert "tool 1.0.0: cannot be judged" in system.run("verify", "--trust").fails(7).err


@pytest.mark.objective("SO-03")
def test_an_altered_archive_in_the_cache_is_not_believed(system: System) -> None:
    archive = system.galaxy.archive("tool-1.0.0")
    digest = Digest.of(archive.read_bytes())
    (kept,) = system.root.glob(f"var/cache/cosmos/blobs/*/{digest.hex}")
    kept.chmod(0o644)
    kept.write_bytes(archive.read_bytes()[:-1] + b"!")
    system.forge("usr/bin/tool")
    assert "/usr/bin/tool (tool): has other bytes" in system.run("verify").fails(7).err, "the galaxy has the right one"
    archive.unlink()
    row = system.run("verify", "--json").json()
    assert [one["name"] for one in row["as-recorded-only"]] == ["tool"]
    assert "the lock names" in row["as-recorded-only"][0]["why"]
    assert kept.exists(), "verify changes nothing"


@pytest.mark.objective("SO-03")
def test_what_a_script_made_is_judged_by_the_script(tmp_path: Path, cosmos: Cosmos) -> None:
    made = StarSpec("made", files={"m": b"m"}, dependencies={"zlib": "*"}, script=COPIES)
    system = System(tmp_path, cosmos, (*STARS, made))
    assert "3 stars as signed, 0 as recorded only" in system.run("verify").ok().out
    system.forge("usr/lib/made/m")
    refused = system.run("verify").fails(7).err
    assert "/usr/lib/made/m (made): has other bytes" in refused


def test_changed_configuration_is_listed_apart(system: System) -> None:
    conf = system.root / "etc/zlib.conf"
    conf.write_text("level=9")
    refused = system.run("verify").fails(7).err
    assert "1 changed configuration file" in refused
    assert "/etc/zlib.conf (zlib): was modified" in refused
    outcome = system.run("verify", "--json")
    assert outcome.code == 7
    assert '"differences": []' in outcome.out or '"differences":[]' in outcome.out
    assert "changed-configuration" in outcome.out


def test_verify_reads_alone_and_makes_no_socket(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _state(system.root)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a socket was made"))
    system.run("verify").ok()
    assert _state(system.root) == before


def _state(root: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for folder, _, files in os.walk(root):
        for name in files:
            held = Path(folder, name).lstat()
            found[f"{folder}/{name}"] = (held.st_mtime_ns, held.st_ino)
    return found
