"""Settle a change that was cut off, before the next one begins: undo or finish it, and say what was done."""

from __future__ import annotations

from cosmos.device.recovery import Undone, recover_journal
from cosmos.device.root import LiveRoot, shown
from cosmos.model.journal import change_words
from cosmos.model.reporter import Reporter


def settle(root: LiveRoot, reporter: Reporter) -> Undone | None:
    """Undo or finish the change that was cut off; return None if there was none. The caller is `at_work`."""
    undone = recover_journal(root)
    if undone is not None and undone.took_place:
        said = f"{change_words(undone.command)} was cut off when it was done"
        reporter.note(f"{said}: its leftovers were cleared away")
    elif undone is not None:
        back = f", and {undone.restored} files are as before" if undone.restored else ""
        said = f"{change_words(undone.command)} was cut off"
        reporter.note(f"{said}: {undone.removed} of its files were removed again{back}")
        for path in undone.kept:
            reporter.warn(f"{shown(path)}: was not removed: it is not what cosmos put there")
    return undone
