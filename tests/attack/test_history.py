"""A system's history: a cut at any moment neither loses nor invents a line, and a forged one is seen."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cosmos.device.initialise import initialise
from cosmos.device.journal import Journal, at_work, journal
from cosmos.device.recovery import recover_journal
from cosmos.device.root import LiveRoot
from cosmos.device.system import HISTORY_ASIDE_PATH, HISTORY_PATH, JOURNAL_PATH, rendered, universe_bytes
from cosmos.device.transaction import Batch, Transaction
from cosmos.digest import Digest
from cosmos.model.history import History, HistoryLine
from cosmos.model.names import Arch, StarName
from cosmos.model.universe import UNIVERSE_PATH, Installed, Universe
from cosmos.model.version import Version
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.programs import Cosmos


class Cut(BaseException):
    """The power goes."""


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """An empty system."""
    folder = tmp_path / "system"
    folder.mkdir()
    with LiveRoot.open(folder) as root, at_work(root):
        initialise(root, arch=Arch("x86_64"), version="1")
    return folder


def with_nano(version: str) -> bytes:
    star = Installed(version=Version.parse(version), files=())
    return rendered(Universe(arch=Arch("x86_64"), version="1", installed={StarName("nano"): star}))


def change(folder: Path, universe: bytes | None, *, command: str = "install", path: bytes = b"f") -> None:
    """Place a file, and let the universe become `universe`."""
    entry = Entry(path=TreePath(path), kind="file", mode=0o644)
    with LiveRoot.open(folder) as root, at_work(root):
        recover_journal(root)
        with journal(root, tag="t", command=command) as going_on:
            transaction = Transaction(root, going_on)
            transaction.prepare(Batch.placing("nano", [], [entry]))
            transaction.publish()
            transaction.commit(universe)


def lines(folder: Path) -> tuple[HistoryLine, ...]:
    found = History.parse((folder / HISTORY_PATH.text).read_bytes(), "history")
    assert found.faults == ()
    return found.changes


def test_each_command_gets_its_line_with_the_stars_that_changed(system: Path, cosmos: Cosmos) -> None:
    change(system, with_nano("1.0.0"))
    change(system, with_nano("2.0.0"), command="update", path=b"g")
    change(system, None, command="repair", path=b"h")
    found = lines(system)
    assert [line.command for line in found] == ["init", "install", "update", "repair"]
    assert [[(one.old, one.new) for one in line.stars] for line in found] == [
        [],
        [("", "1.0.0")],
        [("1.0.0", "2.0.0")],
        [],
    ]
    assert found[0].before == Digest.of(b"")
    assert all(one.after == other.before for one, other in itertools.pairwise(found))
    assert found[-1].after == Digest.of((system / UNIVERSE_PATH.text).read_bytes())
    told = cosmos("history", "--root", system).ok().out.splitlines()
    assert told[:4] == [
        "1  init: 0 paths",
        "2  install: +nano 1.0.0 (1 path)",
        "3  update: nano 1.0.0 -> 2.0.0 (1 path)",
        "4  repair: 1 path",
    ]
    assert told[4] == f"ends with {Digest.of(found[-1].line)}"


def test_a_transaction_that_changes_nothing_gets_no_line(system: Path) -> None:
    with LiveRoot.open(system) as root, at_work(root), journal(root, tag="t", command="install") as going_on:
        transaction = Transaction(root, going_on)
        transaction.publish()
        transaction.commit(None)
    assert [line.command for line in lines(system)] == ["init"]


@contextmanager
def cut_at(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """Let the power go at the `number`th durable step of a transaction; nothing cleans up afterwards."""
    steps = 0

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def step(*words: object, **named: object) -> object:
            nonlocal steps
            steps += 1
            if steps > number:
                raise Cut
            return real(*words, **named)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(LiveRoot, "replace_document", counted(LiveRoot.replace_document))
        patch.setattr(LiveRoot, "remove", counted(LiveRoot.remove))
        patch.setattr(Journal, "_append", counted(Journal._append))
        yield


@pytest.mark.parametrize("is_same", [False, True], ids=["another universe", "the same universe"])
def test_a_cut_at_any_step_neither_loses_nor_invents_a_line(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_same: bool
) -> None:
    change(system, None, command="repair", path=b"before")  # a line whose universe stays, as that of the next one may
    before = lines(system)
    new = None if is_same else with_nano("1.0.0")
    outcomes = []
    for number in range(40):
        root = tmp_path / f"cut-{number}"
        shutil.copytree(system, root, symlinks=True)
        try:
            with cut_at(monkeypatch, number):
                change(root, new, command="repair")
        except Cut:
            is_cut = True
        else:
            is_cut = False
        with LiveRoot.open(root) as live, at_work(live):
            recover_journal(live)
            universe = universe_bytes(live)
        took_place = (root / "f").exists()
        outcomes.append(took_place)
        found = lines(root)
        assert found[: len(before)] == before
        assert len(found) == len(before) + took_place
        assert found[-1].after == Digest.of(universe or b"")
        assert universe == (new if took_place and new else (system / UNIVERSE_PATH.text).read_bytes())
        if not is_cut:
            break
    assert not is_cut
    assert True in outcomes[:-1]
    assert False in outcomes
    assert outcomes == sorted(outcomes)


def test_a_cut_recovery_adds_the_line_once(
    system: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cosmos: Cosmos
) -> None:
    with pytest.raises(Cut), cut_at(monkeypatch, 6):
        change(system, with_nano("1.0.0"))
    assert "committed" in (system / JOURNAL_PATH.text).read_text()
    assert len(lines(system)) == 1
    assert "the next cosmos install finishes it, and adds its line" in cosmos("history", "--root", system).ok().out
    for number in range(12):
        root = tmp_path / f"again-{number}"
        shutil.copytree(system, root, symlinks=True)
        try:
            with cut_at(monkeypatch, number), LiveRoot.open(root) as live, at_work(live):
                recover_journal(live)
        except Cut:
            with LiveRoot.open(root) as live, at_work(live):
                recover_journal(live)
        assert [line.command for line in lines(root)] == ["init", "install"]


@pytest.fixture
def changed(system: Path) -> Path:
    """A system with three lines in its history."""
    change(system, with_nano("1.0.0"))
    change(system, with_nano("2.0.0"), command="update", path=b"g")
    return system


def rewritten(folder: Path, edit: Callable[[list[bytes]], list[bytes]]) -> None:
    path = folder / HISTORY_PATH.text
    path.write_bytes(b"".join(edit(path.read_bytes().splitlines(keepends=True))))


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda rows: rows[:-1], "line 1: it says that the history ends with change 3"),
        (lambda rows: [*rows[:2], *rows[3:]], "line 3: does not follow the line before it"),
        (lambda rows: [*rows[:2], rows[2].replace(b"1.0.0", b"1.0.1"), rows[3]], "line 4: does not follow the line"),
        (lambda rows: [*rows[:2], b"\x1b[2Jgone\n", *rows[3:]], "line 3: "),
        (lambda rows: [b"\xff\n"], "line 1: "),
        (lambda rows: [*rows[:2], rows[3], rows[2]], "line 3: does not follow the line before it"),
        (lambda rows: [*rows, rows[-1]], "line 5: does not follow the line before it"),
    ],
)
@pytest.mark.objective("SO-29")
def test_a_cut_or_edited_history_is_exit_7_and_names_the_line(
    changed: Path, cosmos: Cosmos, edit: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    rewritten(changed, edit)
    told = cosmos("history", "--root", changed).fails(7)
    assert said in told.err
    assert "\x1b" not in told.out + told.err
    row = json.loads(cosmos("history", "--json", "--root", changed).fails(7).out)
    assert row["faults"]


@pytest.mark.objective("SO-29")
def test_an_older_copy_of_the_history_is_seen(changed: Path, cosmos: Cosmos) -> None:
    older = (changed / HISTORY_PATH.text).read_bytes()
    change(changed, with_nano("3.0.0"), path=b"h")
    (changed / HISTORY_PATH.text).write_bytes(older)
    told = cosmos("history", "--root", changed).fails(7).err
    assert "line 4: the history ends with the universe" in told
    assert "lines after it are gone" in told


@pytest.mark.objective("SO-29")
def test_a_universe_that_something_else_changed_is_seen_now_and_after_the_next_change(
    changed: Path, cosmos: Cosmos
) -> None:
    (changed / UNIVERSE_PATH.text).write_bytes(with_nano("9.0.0"))
    assert "universe.toml is sha256:" in cosmos("history", "--root", changed).fails(7).err
    change(changed, with_nano("9.1.0"), path=b"h")
    assert "something else changed universe.toml" in cosmos("history", "--root", changed).fails(7).err


@pytest.mark.parametrize("damaged", [b"", b"garbage\n", b'{"cosmos-history":9}\n'])
def test_a_damaged_history_stops_no_change_and_is_kept(changed: Path, cosmos: Cosmos, damaged: bytes) -> None:
    (changed / HISTORY_PATH.text).write_bytes(damaged)
    change(changed, with_nano("3.0.0"), path=b"h")
    assert (changed / HISTORY_ASIDE_PATH.text).read_bytes() == damaged
    assert f"an earlier history, {Digest.of(damaged)}," in cosmos("history", "--root", changed).fails(7).err


def test_a_system_without_a_history_begins_one(changed: Path, cosmos: Cosmos) -> None:
    (changed / HISTORY_PATH.text).unlink()
    assert "no history yet" in cosmos("history", "--root", changed).ok().out
    change(changed, with_nano("3.0.0"), path=b"h")
    (line,) = lines(changed)
    assert (line.number, line.before) == (1, Digest.of(with_nano("2.0.0")))
    cosmos("history", "--root", changed).ok()


@pytest.mark.objective("SO-18")
def test_a_link_in_the_history_s_place_leads_nobody_out(changed: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (changed / HISTORY_PATH.text).unlink()
    (changed / HISTORY_PATH.text).symlink_to(outside)
    change(changed, with_nano("3.0.0"), path=b"h")
    assert outside.read_bytes() == b"precious"
    assert not (changed / HISTORY_PATH.text).is_symlink()
