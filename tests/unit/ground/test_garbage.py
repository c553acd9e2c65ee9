"""Garbage is collected when a document was read, and what stays of the document is not looked at."""

from __future__ import annotations

import gc

import pytest

from cosmos.garbage import uncollected


@pytest.mark.parametrize("was_on", [True, False])
def test_garbage_is_collected_again_after_an_error(was_on: bool) -> None:
    (gc.enable if was_on else gc.disable)()
    try:
        with pytest.raises(ValueError, match="bad"), uncollected(), uncollected():
            assert not gc.isenabled()
            raise ValueError("bad")
        assert gc.isenabled() is was_on
    finally:
        gc.enable()


def generation_of(wanted: object) -> int:
    return next(number for number in range(3) if any(one is wanted for one in gc.get_objects(generation=number)))


def test_what_a_document_made_counts_as_old_after_the_block() -> None:
    with uncollected():
        row: list[object] = [[]]
        assert generation_of(row) == 0
    assert generation_of(row) == 2
    assert gc.get_freeze_count() == 0


def test_a_circle_of_a_document_is_collected_later() -> None:
    class Circle:
        pass

    with uncollected():
        one = Circle()
        one.itself = one  # type: ignore[attr-defined]  # a circle
        number = id(one)
        del one
    gc.collect()
    assert not any(isinstance(held, Circle) and id(held) == number for held in gc.get_objects())


def test_what_somebody_else_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with uncollected():
            pass
        assert gc.get_freeze_count() == frozen > 0
    finally:
        gc.unfreeze()
