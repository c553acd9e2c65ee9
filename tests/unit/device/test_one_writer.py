"""One writer at a time below a root, whom no other user can hold up, and who leaves nothing behind."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cosmos.device import install as installing
from cosmos.device import uninstall as uninstalling
from cosmos.device.freeze import freeze_system
from cosmos.device.initialise import initialise
from cosmos.device.install import InstallRequest, install, rehearse
from cosmos.device.journal import at_work
from cosmos.device.root import LiveRoot
from cosmos.device.settings import read_settings
from cosmos.device.system import JOURNAL_PATH, LOCK_NAME, SETTINGS_PATH, STATE_FOLDER
from cosmos.device.uninstall import UninstallRequest, rehearse_uninstall, uninstall
from cosmos.errors import NoSolution, WorldFailed
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.journal import head_line
from cosmos.model.names import Arch, StarName
from cosmos.model.reporter import Silent
from cosmos.model.universe import UNIVERSE_PATH
from cosmos.resolve.resolving import Wish
from cosmos.treepath import TreePath
from fakes.programs import Cosmos

LOCK = STATE_FOLDER.joined(LOCK_NAME).text


def order(name: str) -> InstallRequest:
    wish = Wish(who="user", name=StarName(name), constraint=ANY_VERSION)
    return InstallRequest(wishes=[wish], offline=False, epoch=0)


def put(root: Path, name: str) -> None:
    with LiveRoot.open(root) as live:
        install(live, order(name), Silent())


def add_galaxy(root: Path, number: int) -> None:
    from cosmos.cli.cosmos.main import program
    from cosmos.cli.endings import run

    with suppress(SystemExit):
        run(program, "cosmos", ["add-galaxy", f"g{number}", f"/galaxy/{number}", "--root", str(root)])


def test_galaxies_that_are_added_at_once_are_all_there(system: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        pool.starmap(add_galaxy, [(system, number) for number in range(16)])
    with LiveRoot.open(system) as live:
        names = {str(galaxy.name) for galaxy in read_settings(live).galaxies}
    assert names == {"core", *(f"g{number}" for number in range(16))}


@pytest.mark.parametrize("work", ["freeze", "install"])
def test_a_second_writer_is_told_that_another_is_at_work(galaxy, system: Path, work: str) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    before = (system / UNIVERSE_PATH.text).read_bytes()
    with (
        LiveRoot.open(system) as live,
        at_work(live),
        LiveRoot.open(system) as other,
        pytest.raises(WorldFailed, match="another cosmos is at work on this system"),
    ):
        if work == "freeze":
            freeze_system(other, Silent(), offline=False)
        else:
            put(system, "s")
    assert (system / UNIVERSE_PATH.text).read_bytes() == before


def test_two_documents_that_are_written_at_once_share_no_temporary(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`freeze` had the lock's bytes renamed to universe.toml by an `install` that went on meanwhile."""
    rename = os.replace
    turn = iter([True, False])

    def interrupted(*names: object, **folders: int) -> None:
        if next(turn):
            with LiveRoot.open(system) as other:
                other.replace_document(STATE_FOLDER.joined(b"universe.lock.toml"), b"lock")
        rename(*names, **folders)

    with LiveRoot.open(system) as live:
        monkeypatch.setattr(os, "replace", interrupted)
        live.replace_document(UNIVERSE_PATH, b"universe")
    assert (system / UNIVERSE_PATH.text).read_bytes() == b"universe"
    assert (system / STATE_FOLDER.text / "universe.lock.toml").read_bytes() == b"lock"


def test_a_lock_is_not_made_while_an_installation_is_cut_off(system: Path) -> None:
    (system / JOURNAL_PATH.text).parent.mkdir()
    (system / JOURNAL_PATH.text).write_bytes(head_line("t", "install"))
    with LiveRoot.open(system) as live, pytest.raises(WorldFailed, match="cosmos install was cut off") as caught:
        freeze_system(live, Silent(), offline=False)
    assert caught.value.hint == f"finish or undo it first: cosmos install --root {system}"


def test_no_other_user_can_hold_up_roots_command(
    galaxy, open_folder: Path, as_nobody: Callable[[Callable[[], str]], str]
) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    with LiveRoot.open(open_folder) as live, at_work(live):
        initialise(live, arch=Arch("x86_64"), version="1")

    def hold() -> str:
        held = []
        for path in (open_folder / STATE_FOLDER.text, open_folder / LOCK):
            try:
                number = os.open(path, os.O_RDONLY)
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held.append(path.name)
            except PermissionError:
                held.append(f"not {path.name}")
        return " ".join(held)

    assert as_nobody(hold) == "cosmos not lock"
    folder = os.open(open_folder / STATE_FOLDER.text, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)  # what any user may do
    with LiveRoot.open(open_folder) as live, at_work(live):
        pass
    os.close(folder)


@pytest.mark.parametrize("file", ["var/lib/cosmos/lock", "var/cache/cosmos/lock", "var/cache/cosmos/batches/lock"])
def test_every_lock_below_a_root_is_for_its_owner_alone(galaxy, system: Path, cosmos: Cosmos, file: str) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    (system / file).parent.mkdir(parents=True, exist_ok=True)
    (system / file).write_bytes(b"")
    (system / file).chmod(0o644)  # as an older cosmos made it
    cosmos("install", "s", "--root", system).ok()
    assert stat.S_IMODE((system / file).stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["link", "hard link", "fifo", "folder"])
def test_a_lock_file_that_is_another_thing_is_refused_and_left(
    galaxy, system: Path, cosmos: Cosmos, tmp_path: Path, kind: str
) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    (system / LOCK).unlink()
    (tmp_path / "precious").write_bytes(b"keep")
    (tmp_path / "precious").chmod(0o644)
    match kind:
        case "link":
            (system / LOCK).symlink_to(tmp_path / "precious")
        case "hard link":
            (system / LOCK).hardlink_to(tmp_path / "precious")
        case "fifo":
            os.mkfifo(system / LOCK)
        case _:
            (system / LOCK).mkdir()
    assert "/var/lib/cosmos/lock: " in cosmos("install", "s", "--root", system).fails(5).err
    assert (tmp_path / "precious").read_bytes() == b"keep"
    assert stat.S_IMODE((tmp_path / "precious").stat().st_mode) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_lock_file_of_a_third_user_is_refused(system: Path, cosmos: Cosmos) -> None:
    os.chown(system / LOCK, 65534, 65534)
    assert "belongs to user 65534" in cosmos("install", "s", "--root", system).fails(5).err


@pytest.mark.parametrize("words", [("sync",), ("install", "s")])
def test_what_killed_writers_left_in_the_cache_is_swept(
    galaxy, system: Path, cosmos: Cosmos, words: tuple[str, ...]
) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    left = system / "var/cache/cosmos/temporary/.cosmos-4242-0.tmp"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    cosmos(*words, "--root", system).ok()
    assert not left.exists()


def test_what_killed_writers_left_is_swept_by_the_next(system: Path, cosmos: Cosmos) -> None:
    left = [
        system / folder / name
        for folder in ("etc/cosmos", "etc/cosmos/chain", "var/lib/cosmos", "var/lib/cosmos/journal")
        for name in (".cosmos-document", ".cosmos-4242-0.tmp")
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    (system / "var/lib/cosmos/.cosmos-mine").write_bytes(b"a person's")
    cosmos("add-galaxy", "more", "/galaxy", "--root", system).ok()
    assert [path for path in left if path.exists()] == []
    assert not (system / "var/lib/cosmos/journal").exists()
    assert (system / "var/lib/cosmos/.cosmos-mine").exists()


def test_a_program_that_was_killed_in_another_container_leaves_no_name_that_stops_a_writer(system: Path) -> None:
    with LiveRoot.open(system) as live:
        live.replace_document(TreePath(b"etc/cosmos/a"), b"first")
        for number in range(200):
            (system / f"etc/cosmos/.cosmos-{os.getpid()}-{number}.tmp").write_bytes(b"half")
        live.replace_document(TreePath(b"etc/cosmos/a"), b"second")
    assert (system / "etc/cosmos/a").read_bytes() == b"second"
    assert (system / SETTINGS_PATH.text).exists()


def test_a_rehearsal_beside_an_installation_advises_nothing_against_what_that_has_laid(
    galaxy, system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    planned = installing._planned

    def meanwhile(*words: object) -> object:
        monkeypatch.setattr(installing, "_planned", planned)
        put(system, "s")
        return planned(*words)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(installing, "_planned", meanwhile)
    with LiveRoot.open(system) as live, pytest.raises(WorldFailed, match="another cosmos is at work") as caught:
        rehearse(live, order("s"), Silent())
    assert "mv " not in str(caught.value.hint)


def test_a_rehearsal_while_a_change_is_running_says_so_and_not_what_it_found(galaxy, system: Path) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    (system / "usr").mkdir()
    (system / "usr/f").touch()
    with LiveRoot.open(system) as live:
        with pytest.raises(NoSolution, match="is there already"):  # nobody is at work: it is a fault of the system
            rehearse(live, order("s"), Silent())
        with at_work(live):
            journal = system / JOURNAL_PATH.text
            journal.parent.mkdir()
            journal.write_bytes(head_line("a", "install"))
            with pytest.raises(WorldFailed, match="another cosmos is at work"):
                rehearse(live, order("s"), Silent())


def test_a_rehearsed_removal_beside_the_removal_says_that_another_is_at_work(
    galaxy, system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    put(system, "s")
    read = uninstalling.read_universe
    gone = UninstallRequest(stars=(StarName("s"),))

    def late(live: LiveRoot) -> object:
        monkeypatch.setattr(uninstalling, "read_universe", read)
        with LiveRoot.open(system) as other:
            uninstall(other, gone, Silent())
        return read(live)

    monkeypatch.setattr(uninstalling, "read_universe", late)
    with LiveRoot.open(system) as live, pytest.raises(WorldFailed, match="another cosmos is at work"):
        rehearse_uninstall(live, gone)
