"""The page's compiled template is kept where Python keeps compiled modules, and never decides what a page says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jinja2 import Environment

from cosmos.release.report import compiled
from cosmos.release.report.compiled import compiled_template

TEXT = "{% for name in names %}{{ name }}, {% endfor %}done"
SHOWN = "a, b, done"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of the kept code, which is not there yet."""
    monkeypatch.setattr(compiled, "_place", lambda: tmp_path / "page.html.cpython")
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path / "page.html.cpython"


class Counting(Environment):
    """An environment that counts what it compiles."""

    compiled = 0

    def compile(self, *values: object, **named: object) -> object:  # type: ignore[override]  # whatever it is given
        Counting.compiled += 1
        return super().compile(*values, **named)  # type: ignore[call-overload]  # as above


def shown(text: str = TEXT) -> tuple[str, int]:
    """Return what the template gives, and how often it was compiled for that."""
    before = Counting.compiled
    said = compiled_template(Counting(), text).render(names=["a", "b"])
    return said, Counting.compiled - before


def test_a_template_is_compiled_once_and_says_the_same(kept: Path) -> None:
    assert [shown(), shown(), shown()] == [(SHOWN, 1), (SHOWN, 0), (SHOWN, 0)]
    assert kept.is_file()


def test_another_template_another_environment_and_another_python_are_compiled_again(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown()
    assert shown(TEXT + "!") == (f"{SHOWN}!", 1)
    assert shown() == (SHOWN, 1)
    monkeypatch.setattr("jinja2.__version__", "99.0")
    assert shown() == (SHOWN, 1)
    monkeypatch.setattr(sys, "version", "99.0")
    assert shown() == (SHOWN, 1)
    (kept.parent / "page.py").write_text("# another environment")
    monkeypatch.setattr(compiled, "__file__", str(kept.parent / "compiled.py"))
    assert [shown(), shown()] == [(SHOWN, 1), (SHOWN, 0)]


def test_damaged_code_is_not_run_and_is_made_again(kept: Path) -> None:
    shown()
    whole = kept.read_bytes()
    for place in range(0, len(whole), 97):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert shown() == (SHOWN, 1)
        assert kept.read_bytes() == whole
    for data in (b"", whole[:-1], whole[:10]):
        kept.write_bytes(data)
        assert shown() == (SHOWN, 1)


def test_nothing_is_kept_where_python_keeps_nothing(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert [shown(), shown()] == [(SHOWN, 1), (SHOWN, 1)]
    assert not kept.exists()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    kept.mkdir()
    assert [shown(), shown()] == [(SHOWN, 1), (SHOWN, 1)]
    monkeypatch.setattr(compiled, "_place", lambda: None)
    monkeypatch.setattr(compiled, "__file__", "missing")
    assert shown() == (SHOWN, 1)
