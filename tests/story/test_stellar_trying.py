"""`stellar test` and `stellar lint`: what a star does, against what its author expects and what is safe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.programs import Cosmos

SCRIPT = """
function install()
  copy("x", "/usr/bin/x")
  if exists("/usr/lib/dep") then symlink("/usr/lib/dep", "/usr/d") end
end
"""


@pytest.fixture
def star(tmp_path: Path) -> Callable[..., Path]:
    """Writes a source folder."""

    def make(name: str, script: str | None, files: dict[str, str], more: str = 'license = "MIT"') -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for path, text in files.items():
            (folder / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "files" / path).write_text(text)
        named = 'install_script = "install.lua"\n' if script else ""
        (folder / "star.toml").write_text(f'name = "{name}"\nversion = "1.0.0"\ndescription = "d"\n{named}{more}\n')
        if script:
            (folder / "install.lua").write_text(script)
        return folder

    return make


def test_what_a_star_does_is_written_and_compared(star: Callable[..., Path], stellar: Cosmos) -> None:
    tool, dependency = star("tool", SCRIPT, {"x": "x"}), star("dep", None, {"usr/lib/dep": "d"})
    assert "stellar test --update" in stellar("test", tool).fails(3).err
    stellar("test", tool, "--below", dependency, "--update").ok()
    lines = (tool / "expect.txt").read_text().splitlines()
    assert [line.split(" sha256:")[0] for line in lines] == [
        "# on an empty root",
        "added file 0644 0:0 /usr/bin/x 1",
        "# on the root of its dependencies",
        "added file 0644 0:0 /usr/bin/x 1",
        "added symlink 0777 0:0 /usr/d -> /usr/lib/dep",
    ]
    stellar("test", tool, "--below", dependency).ok()
    (tool / "install.lua").write_text(SCRIPT.replace("/usr/bin/x", "/usr/bin/y"))
    differs = stellar("test", tool, "--below", dependency).fails(7)
    assert "- added file 0644 0:0 /usr/bin/x 1" in differs.err
    assert "+ added file 0644 0:0 /usr/bin/y 1" in differs.err


def test_a_script_that_fails_is_expected_to(star: Callable[..., Path], stellar: Cosmos) -> None:
    tool = star("tool", 'function install() copy("nope", "/x") end', {})
    stellar("test", tool, "--update").ok()
    assert "failed install.lua:1: copy: nope is not in" in (tool / "expect.txt").read_text()


@pytest.mark.parametrize(
    ("body", "finding"),
    [
        ('write("/usr/x", "", "4755")', "warning: /usr/x: runs with its owner's"),
        ('write("/usr/x", "", "0666")', "error: /usr/x: everybody may write to it (0666)"),
        ('mkdir("/usr/x", "0777")', "error: /usr/x: everybody may write to it (0777)"),
        ('symlink("../../etc/passwd", "/usr/x")', "error: /usr/x: leads out of the root"),
        ('symlink("/../x", "/usr/x")', "error: /usr/x: leads out of the root"),
        ("", "warning: install.lua: declares no outputs"),
        ("error('x')", "error: tool: install.lua:1: x"),
    ],
)
def test_what_is_unsafe_is_found(star: Callable[..., Path], stellar: Cosmos, body: str, finding: str) -> None:
    found = stellar("lint", star("tool", f"function install() {body} end", {}))
    assert finding in found.out
    assert found.code == (2 if "error: " in found.out else 0)


def test_a_star_without_fault_has_no_finding(star: Callable[..., Path], stellar: Cosmos) -> None:
    body = 'function install() filemap{"/tmp"} mkdir("/tmp", "1777") end'
    assert stellar("lint", star("tool", body, {})).ok().out == ""
    assert "names no license" in stellar("lint", star("bare", body, {}, "")).fails(2).out
