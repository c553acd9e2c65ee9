"""Publishing is one step: whoever is killed or reads at any moment meets the old galaxy or the new one.

The processes are real, and are really killed (tests/fakes/kill_driver.py).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cosmos.errors import Refused, WorldFailed
from cosmos.keyring.secret_key import SecretKey
from cosmos.locking import locked_in_time
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.names import KeyName
from cosmos.model.reporter import Silent
from cosmos.reading import envelope_of
from cosmos.stellar.add_star import add_star
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.galaxy_init import init_galaxy
from cosmos.stellar.index_galaxy import index_galaxy, sign_galaxy
from cosmos.trust.dsse import Envelope
from fakes import kill_driver
from fakes.kill_driver import seen
from fakes.programs import REPO, Cosmos
from fakes.publishing import NAME, TODAY, author, built, galaxy_key
from fakes.waiting import LONG_SECONDS

ENVIRON = {**os.environ, "PYTHONPATH": f"{REPO / 'builder'}:{REPO / 'tests'}"}
EMPTY = "refused: core: meta.toml: is not signed: there is no .dsse file beside it"  # as galaxy-init leaves it
UNLOGGED = "seq 1: first-1.0.0, log: is missing"  # a head, and a star that has no proof of it yet
BETWEEN = {"begin": {"no galaxy", EMPTY}, "log": {UNLOGGED}}


@pytest.fixture
def galaxy(tmp_path: Path) -> GalaxyFolder:
    """A galaxy with one published star."""
    folder = GalaxyFolder(root=tmp_path / "galaxy")
    kill_driver.prepared(folder)
    return folder


def python(text: str, *words: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", text, *map(str, words)]
    return subprocess.Popen(command, env=ENVIRON, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", sorted(kill_driver.SCENARIOS))
def test_a_kill_at_any_step_leaves_the_old_galaxy_or_the_new_one(scenario: str, tmp_path: Path) -> None:
    command = [sys.executable, str(REPO / "tests/fakes/kill_driver.py"), str(tmp_path), scenario]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["steps"] >= 5
    assert len(told["rows"]) == told["steps"]
    allowed = {told["old"], told["new"]} | BETWEEN.get(scenario, set())
    assert {row["after"] for row in told["rows"]} <= allowed
    assert {row["again"] for row in told["rows"]} == {told["new"]}, "the next run finishes what was begun"


PUBLISHING = """
import sys, time
from pathlib import Path
from cosmos.stellar.add_star import add_star
from cosmos.stellar.galaxy_folder import GalaxyFolder
from fakes.kill_driver import index
from fakes.publishing import author, built
galaxy = GalaxyFolder(root=Path(sys.argv[1]))
while not (galaxy.root.parent / "go").exists():
    time.sleep(0.01)
for number in range(int(sys.argv[3])):
    add_star(galaxy, built(f"{sys.argv[2]}{number}"), [author()])
    index(galaxy)
"""
READING = """
import sys
from pathlib import Path
from cosmos.stellar.galaxy_folder import GalaxyFolder
from fakes.kill_driver import seen
print("ready", flush=True)
while not Path(sys.argv[2]).exists():
    print(seen(GalaxyFolder(root=Path(sys.argv[1]))), flush=True)
"""


def read_meanwhile(galaxy: GalaxyFolder, end: Path, publishers: list[subprocess.Popen[bytes]]) -> list[list[str]]:
    """Return what each of two readers found, again and again, until the last publisher has ended.

    They hold no lock: so does whoever reads through a web server or from a stick.
    """
    readers = [python(READING, galaxy.root, end) for _ in range(2)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"ready\n"
    (end.parent / "go").touch()
    for one in publishers:
        _, said = one.communicate(timeout=300)
        assert one.returncode == 0, said.decode()
    end.touch()
    found = []
    for reader in readers:
        out, said = reader.communicate(timeout=LONG_SECONDS)
        assert reader.returncode == 0, said.decode()
        found.append(out.decode().splitlines())
    return found


def test_readers_meanwhile_find_a_whole_galaxy_every_time(galaxy: GalaxyFolder, tmp_path: Path) -> None:
    for lines in read_meanwhile(galaxy, tmp_path / "end", [python(PUBLISHING, galaxy.root, "star", 12)]):
        assert [line for line in lines if not line.startswith("seq ")] == []
        numbers = [int(line.split()[1].rstrip(":")) for line in lines]
        assert numbers == sorted(numbers)


def test_several_that_publish_at_once_lose_nothing_and_never_give_one_number_twice(
    galaxy: GalaxyFolder, tmp_path: Path
) -> None:
    publishers = [python(PUBLISHING, galaxy.root, name, 5) for name in ("a", "b", "c")]
    for lines in read_meanwhile(galaxy, tmp_path / "end", publishers):
        assert [line for line in lines if not line.startswith("seq ")] == []
        told = {line.split(":")[0]: line for line in lines}
        assert [line for line in lines if told[line.split(":")[0]] != line] == [], "a fork"
    names = {"first", *(f"{name}{number}" for name in "abc" for number in range(5))}
    assert {str(row.name) for row in galaxy.index().snapshot} == names
    grown: set[str] = set()
    for seq in range(1, galaxy.index().seq + 1):
        kept = GalaxyIndex.parse(galaxy.snapshot_file(seq).read_bytes(), str(seq))
        rows = {row.stem for row in kept.snapshot}
        assert (kept.seq, grown < rows) == (seq, True)
        grown = rows


def test_who_waits_for_a_galaxy_is_told_for_which_process(tmp_path: Path) -> None:
    lock, told = tmp_path / "lock", list[str]()
    with locked_in_time(lock, "the galaxy", 60, told.append):
        assert told == []
        with (
            pytest.raises(WorldFailed, match=f"the galaxy: process {os.getpid()} is at work on it"),
            locked_in_time(lock, "the galaxy", 0, told.append),
        ):
            pass
        with pytest.raises(WorldFailed), locked_in_time(lock, "the galaxy", 0.1, told.append):
            pass
    assert told == [str(os.getpid())]
    with locked_in_time(lock, "the galaxy", 0, told.append):
        assert lock.read_text() == f"{os.getpid()}\n"


def test_the_lock_of_a_killed_process_holds_nobody_up(galaxy: GalaxyFolder) -> None:
    holding = """
import sys, time
from pathlib import Path
from cosmos.model.reporter import Silent
from cosmos.stellar.galaxy_folder import GalaxyFolder
with GalaxyFolder(root=Path(sys.argv[1])).publishing(Silent()):
    print("held", flush=True)
    time.sleep(600)
"""
    holder = python(holding, galaxy.root)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with (
        pytest.raises(WorldFailed, match=f"process {holder.pid} is at work on it"),
        locked_in_time(galaxy.root / ".publishing", "x", 0, lambda _: None),
    ):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate(timeout=LONG_SECONDS)
    with locked_in_time(galaxy.root / ".publishing", "x", 0, lambda _: None):
        pass


ADDING = """
import sys, time
from pathlib import Path
from cosmos.cli.cosmos.main import program
from cosmos.cli.endings import run
name, root = sys.argv[1:]
while not (Path(root).parent / "go").exists():
    time.sleep(0.01)
for number in range(10):
    try:
        run(program, "cosmos", ["add-galaxy", f"{name}{number}", root, "--root", root])
    except SystemExit as ended:
        if ended.code:
            raise
"""


def test_galaxies_added_to_a_system_by_several_at_once_are_all_there(tmp_path: Path, cosmos: Cosmos) -> None:
    root = tmp_path / "system"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    added = [python(ADDING, name, root) for name in "abcd"]
    (tmp_path / "go").touch()
    for one in added:
        _, said = one.communicate(timeout=300)
        assert one.returncode == 0, said.decode()
    listed = cosmos("list-galaxies", "--root", root, "--json").json()["galaxies"]
    assert sorted(row["name"] for row in listed) == [f"{name}{number}" for name in "abcd" for number in range(10)]


# What a reader takes, and what it refuses, between two of the files.


def indexed(galaxy: GalaxyFolder, *keys: SecretKey, name: str) -> int:
    add_star(galaxy, built(name), [author()])
    return index_galaxy(galaxy, authors=[], galaxies=keys, today=TODAY, reporter=Silent()).missing


def test_an_index_whose_envelope_is_still_the_old_one_is_read_with_the_signature_of_its_snapshot(
    galaxy: GalaxyFolder,
) -> None:
    old = envelope_of(galaxy.index_file).read_bytes()
    indexed(galaxy, galaxy_key(), name="second")
    envelope_of(galaxy.index_file).write_bytes(old)
    assert seen(galaxy) == "seq 2: first-1.0.0 second-1.0.0"


def test_an_index_that_was_changed_is_refused_although_its_snapshot_is_signed(galaxy: GalaxyFolder) -> None:
    old = envelope_of(galaxy.index_file).read_bytes()
    indexed(galaxy, galaxy_key(), name="second")
    data = galaxy.index_file.read_bytes()
    for envelope in (old, envelope_of(galaxy.index_file).read_bytes()):
        envelope_of(galaxy.index_file).write_bytes(envelope)
        galaxy.index_file.write_bytes(data.replace(b"seq = 2", b"seq = 3"))
        assert seen(galaxy).startswith("refused: core: meta.toml.dsse: signs sha256:")
        galaxy.index_file.write_bytes(data + b"# x\n")
        assert seen(galaxy).startswith("refused: core: meta.toml.dsse: signs sha256:")


def test_a_snapshot_s_envelope_by_a_stranger_is_refused(galaxy: GalaxyFolder) -> None:
    old = envelope_of(galaxy.index_file).read_bytes()
    indexed(galaxy, galaxy_key(), name="second")
    mallory = SecretKey.generate(KeyName("mallory"), "galaxy")
    forged = mallory.sign("application/vnd.cosmos.galaxy.v1+toml", galaxy.index_file.read_bytes())
    envelope_of(galaxy.snapshot_file(2)).write_bytes(forged)
    envelope_of(galaxy.index_file).write_bytes(old)
    assert "want a signature by a pinned key" in seen(galaxy)


# Fewer signatures than before.


def test_an_index_with_fewer_signatures_than_the_one_before_waits_for_the_others(galaxy: GalaxyFolder) -> None:
    second = SecretKey.generate(KeyName("second"), "galaxy")
    sign_galaxy(galaxy, authors=[], galaxies=[second], reporter=Silent())
    before = {file: file.read_bytes() for file in galaxy.root.glob("meta.toml*")}
    assert indexed(galaxy, name="second") == 2
    assert indexed(galaxy, galaxy_key(), name="third") == 1
    assert {file: file.read_bytes() for file in before} == before
    assert seen(galaxy) == "seq 1: first-1.0.0"
    done = sign_galaxy(galaxy, authors=[], galaxies=[second], reporter=Silent())
    assert (done.missing, done.is_changed, done.index.seq) == (0, True, 2)
    assert seen(galaxy) == "seq 2: first-1.0.0 second-1.0.0 third-1.0.0"
    envelope = Envelope.parse(envelope_of(galaxy.index_file).read_bytes(), "x")
    assert {row.keyid for row in envelope.signatures} == {galaxy_key().public.id, second.public.id}
    assert envelope_of(galaxy.snapshot_file(2)).read_bytes() == envelope_of(galaxy.index_file).read_bytes()


def test_fewer_signatures_are_published_where_the_maintainer_says_so(galaxy: GalaxyFolder) -> None:
    sign_galaxy(galaxy, authors=[], galaxies=[SecretKey.generate(KeyName("second"), "galaxy")], reporter=Silent())
    assert indexed(galaxy, galaxy_key(), name="second") == 1
    done = index_galaxy(galaxy, authors=[], galaxies=[galaxy_key()], today=TODAY, reporter=Silent(), fewer="publish")
    assert (done.missing, seen(galaxy)) == (0, "seq 2: first-1.0.0 second-1.0.0")


def test_an_index_that_waits_is_not_published_after_its_stars_were_changed(galaxy: GalaxyFolder) -> None:
    assert indexed(galaxy, name="second") == 1
    add_star(galaxy, built("second", text="other"), [author()], unpublished="replace")
    with pytest.raises(Refused, match=r"stars/second-1\.0\.0\.toml: the index lists sha256:"):
        sign_galaxy(galaxy, authors=[], galaxies=[galaxy_key()], reporter=Silent())
    assert seen(galaxy) == "seq 1: first-1.0.0"
    assert indexed(galaxy, galaxy_key(), name="third") == 0
    assert seen(galaxy) == "seq 2: first-1.0.0 second-1.0.0 third-1.0.0"


def test_a_galaxy_that_nobody_signed_yet_is_published_without_signatures(tmp_path: Path) -> None:
    galaxy = init_galaxy(tmp_path / "galaxy", NAME, "", TODAY)
    assert indexed(galaxy, name="first") == 0
    assert indexed(galaxy, name="second") == 0
    assert galaxy.index().seq == 2
    assert not list(galaxy.root.glob("*.dsse"))
