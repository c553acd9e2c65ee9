"""`cosmos owns` names who owns a path, through the system's own links and never outside the root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cosmos.device.root import LiveRoot
from cosmos.device.system import read_universe, rendered
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.programs import Cosmos


@pytest.fixture
def filled(galaxy, system: Path, cosmos: Cosmos) -> Path:
    """A system with merged /bin, the star `tool` and the star `lib`, which share /usr/share/both."""
    (system / "usr/bin").mkdir(parents=True)
    (system / "bin").symlink_to("usr/bin")
    galaxy.star("lib", "1.2.0", {"usr/share/both/lib": b"l"})
    galaxy.star("tool", "2.0.0", {"bin/ls": b"ls", "usr/share/both/tool": b"t"})
    cosmos("install", "lib", "tool", "--root", system).ok()
    return system


def test_the_system_s_own_links_are_followed(filled: Path, cosmos: Cosmos) -> None:
    for asked in ("/bin/ls", "usr/bin/ls", "//bin/./ls"):
        assert cosmos("owns", asked, "--root", filled).ok().out == "/usr/bin/ls: tool 2.0.0 (file)\n"


def test_a_folder_names_all_that_have_it(filled: Path, cosmos: Cosmos) -> None:
    rows = cosmos("owns", "/usr/share/both", "/usr", "--json", "--root", filled).json()
    assert [(owner["star"], owner["shared"]) for owner in rows[0]["owners"]] == [("lib", False), ("tool", True)]
    assert [owner["star"] for owner in rows[1]["owners"]] == ["lib", "tool"]


def test_a_path_that_is_gone_keeps_its_owner(filled: Path, cosmos: Cosmos) -> None:
    (filled / "usr/bin/ls").unlink()
    assert cosmos("owns", "/bin/ls", "--root", filled).ok().out == (
        "/usr/bin/ls: tool 2.0.0 (file); it is not there now\n"
    )


def test_nobody_s_path_is_said_and_is_exit_3(filled: Path, cosmos: Cosmos) -> None:
    (filled / "usr/bin/mine").write_text("m")
    told = cosmos("owns", "/bin/ls", "/bin/mine", "/no/where", "--root", filled).fails(3)
    assert told.out == "/usr/bin/ls: tool 2.0.0 (file)\n"
    assert "/usr/bin/mine: no star owns it" in told.err
    assert "/no/where: there is no such path, and no star ever brought it" in told.err


def test_cosmos_s_own_documents_are_named_as_such(filled: Path, cosmos: Cosmos) -> None:
    told = cosmos("owns", f"/{UNIVERSE_PATH.text}", "/etc/cosmos/config.toml", "--root", filled).ok().out
    assert told.count("cosmos itself and the operator write it") == 2


def test_a_link_that_nobody_owns_is_followed_inside_the_root(filled: Path, cosmos: Cosmos) -> None:
    (filled / "mine").symlink_to("/usr/bin/ls")
    (filled / "out").symlink_to("../../../../../../../../../../usr/bin/ls")
    for asked in ("/mine", "/out"):
        assert cosmos("owns", asked, "--root", filled).ok().out == "/usr/bin/ls: tool 2.0.0 (file)\n"
    (filled / "loop").symlink_to("/loop")
    assert "lead in a circle" in cosmos("owns", "/loop/x", "--root", filled).fails(5).err


@pytest.mark.parametrize("asked", ["../etc", "/usr/../etc", "a" * 5000])
def test_a_text_that_is_no_path_below_the_root_is_malformed(filled: Path, cosmos: Cosmos, asked: str) -> None:
    assert "PATH" in cosmos("owns", asked, "--root", filled).fails(2).err


def test_the_layers_of_the_image_own_paths(filled: Path, cosmos: Cosmos) -> None:
    with LiveRoot.open(filled) as root:
        universe = read_universe(root)
        entry = universe.installed["tool"].entries[0]  # type: ignore[index]  # a name is a text
        with_layer = Universe(
            arch=universe.arch,
            version=universe.version,
            installed={},
            layers={"template": [entry], "finish": [entry]},
        )
        root.replace_document(UNIVERSE_PATH, rendered(with_layer))
    told = cosmos("owns", f"/{entry.path.text}", "--root", filled).ok().out
    assert "the image's template" in told
    assert "the image's finish" in told


def test_a_name_never_controls_the_terminal(galaxy, system: Path, cosmos: Cosmos) -> None:
    hostile = b"usr/share/\x1b]0;evil\x07"
    galaxy.star("odd", files={"x": Entry(path=TreePath(hostile), kind="file", mode=0o644)})
    cosmos("install", "odd", "--root", system).ok()
    told = cosmos("owns", "/" + os.fsdecode(hostile), "/usr/\x1b[31m", "--root", system).fails(3)
    assert "\x1b" not in told.out + told.err
    assert told.out == "/usr/share/\\x1b]0;evil\\x07: odd 1.0.0 (file)\n"
