"""The repository must not hold paths of one machine, hosts of registries, secret keys, or large files."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

MAX_TRACKED_BYTES = 1 << 20  # a repository that holds binaries is slow for ever

# Written in pieces, so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile("|".join(["/" + "work/", "/" + "farm/", "/" + r"root/\.", "/" + r"tmp/[a-z]+/[a-z]"]))
REGISTRY_HOSTS = re.compile(
    "|".join(
        [
            "files" + r"\.pythonhosted",
            r"\b" + r"pypi\." + "org",
            r"\b(?:deb|security|ftp|snapshot)" + r"\.debian\." + "org",
            "registry" + r"\.npmjs",
        ]
    )
)
SECRET = re.compile("cosmos-" + r"secret-key-v1|-----BEGIN [A-Z ]*PRIVATE" + " KEY")

# file below the repository -> why it may name such a path
MAY_NAME_PATHS: dict[str, str] = {}


def hits(texts: dict[Path, str], pattern: re.Pattern[str]) -> list[str]:
    """Return `file:line: text` for each line that `pattern` finds."""
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in texts.items()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


@pytest.fixture(scope="session")
def named(tracked_texts: dict[Path, str], repo: Path) -> dict[Path, str]:
    """The tracked texts by their path in the repository."""
    return {path.relative_to(repo): text for path, text in tracked_texts.items()}


def test_no_tracked_file_names_a_path_of_one_machine(named: dict[Path, str], repo: Path) -> None:
    texts = {path: text for path, text in named.items() if str(path) not in MAY_NAME_PATHS}
    here = re.compile(
        "|".join(re.escape(f"{folder}/") for folder in {repo, Path.home()} if len(folder.parts) > 2) or "(?!)"
    )
    assert hits(texts, MACHINE_PATHS) + hits(texts, here) == []


def test_no_tracked_file_names_a_registry_host(named: dict[Path, str]) -> None:
    assert hits(named, REGISTRY_HOSTS) == []


def test_no_tracked_file_holds_a_secret_key(named: dict[Path, str]) -> None:
    assert [line for line in hits(named, SECRET) if not line.startswith(("tests/", "builder/", "docs/"))] == []


def test_no_tracked_file_is_large(tracked: tuple[Path, ...]) -> None:
    assert [str(path) for path in tracked if path.stat().st_size > MAX_TRACKED_BYTES] == []


def test_every_tracked_text_ends_with_one_newline_and_has_no_trailing_blanks(named: dict[Path, str]) -> None:
    ragged = [
        str(path)
        for path, text in named.items()
        if text and path.parts[0] != "rootfs-templates" and (not text.endswith("\n") or text.endswith("\n\n"))
    ]
    blanks = [str(path) for path, text in named.items() if re.search(r"[ \t]+$", text, re.MULTILINE)]
    assert (ragged, blanks) == ([], [])


def test_what_starts_with_a_hash_bang_can_be_run(tracked_texts: dict[Path, str]) -> None:
    scripts = [
        path for path, text in tracked_texts.items() if text.startswith("#!") and "rootfs-templates" not in path.parts
    ]
    assert [path.name for path in scripts if not os.access(path, os.X_OK)] == []


def test_a_path_of_one_machine_is_caught() -> None:
    assert hits({Path("x"): "see " + "/work" + "/main/notes"}, MACHINE_PATHS)
    assert hits({Path("x"): "http://" + "deb" + ".debian." + "org/debian"}, REGISTRY_HOSTS)
    assert not hits({Path("x"): "a work/ folder; /tmp/ too"}, MACHINE_PATHS)
