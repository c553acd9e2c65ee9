"""The recipes for continuous integration: every command in them exists, and what can run here is run as written."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from cosmos.cli.cosmos.main import program
from cosmos.digest import Digest
from fakes.galaxies import StarSpec, make_galaxy
from fakes.images import APP, BASE, META, ImageFixture, make_image
from fakes.programs import Cosmos, write_programs

ACTION, GITLAB, PAGE = ".ci/rebuild/action.yml", ".ci/gitlab.yml", "docs/ci.md"
BLOCK = re.compile(r"^```(yaml|sh)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SCRIPTS = ("run", "script", "before_script", "after_script")
INPUT = re.compile(r"\binputs\.([a-z0-9-]+)")


def scripts_in(document: Any) -> Iterator[str]:
    """Give every piece of shell in a document, wherever it stands."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key in SCRIPTS:
                yield from [value] if isinstance(value, str) else value
            else:
                yield from scripts_in(value)
    elif isinstance(document, list):
        for value in document:
            yield from scripts_in(value)


def commands_in(script: str) -> Iterator[list[str]]:
    """Give the words of each call of cosmos in a script, without its redirections."""
    for line in script.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&<>")
        lexer.whitespace_split = True
        words: list[str] | None = None
        redirected = False
        for word in lexer:
            if set(word) <= set(";|&"):
                if words is not None:
                    yield words
                words = None
            elif set(word) <= set("<>"):
                redirected = True
            elif redirected:
                redirected = False
            elif words is not None:
                words.append(word)
            elif word == "cosmos":
                words = []
        if words is not None:
            yield words


def demand_command(words: list[str]) -> None:
    """Raise unless these are a command of cosmos, its options with their values, and arguments in their number."""
    command: click.Command = program
    context = click.Context(command, info_name="cosmos")
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, f"{words[0]} is no command of {context.command_path}"
        command, words = found, words[1:]
        context = click.Context(command, info_name=command.name, parent=context)
    _, rest, _ = command.make_parser(context).parse_args(list(words))
    assert rest == [], f"{context.command_path}: too many words: {rest}"


def documents(repo: Path) -> dict[str, Any]:
    """The two files, and the page's YAML."""
    blocks = [text for kind, text in BLOCK.findall((repo / PAGE).read_text()) if kind == "yaml"]
    assert len(blocks) == 2
    texts = {name: (repo / name).read_text() for name in (ACTION, GITLAB)}
    texts |= {f"{PAGE} {number}": text for number, text in enumerate(blocks, 1)}
    return {name: yaml.safe_load(text) for name, text in texts.items()}


def test_every_cosmos_command_and_option_in_the_recipes_exists(repo: Path) -> None:
    shell = [text for kind, text in BLOCK.findall((repo / PAGE).read_text()) if kind == "sh"]
    scripts = [script for document in documents(repo).values() for script in scripts_in(document)]
    calls = [words for script in scripts + shell for words in commands_in(script)]
    for words in calls:
        demand_command(words)
    said = [" ".join(words[:2]) for words in calls]
    assert said.count("trust init") == 3, said
    assert sum(words[0] == "rebuild" and "--adversarial" in words for words in calls) == 3
    assert sum(words[0] == "diff" and "--md" in words for words in calls) == 3


@pytest.mark.parametrize(
    "call", ["cosmos rebild out", "cosmos rebuild out --hostile", "cosmos diff a b --md c", "x; cosmos y"]
)
def test_a_command_that_does_not_exist_is_caught(call: str) -> None:
    (words,) = commands_in(call)
    with pytest.raises((AssertionError, click.UsageError)):
        demand_command(words)


def test_the_page_gives_the_action_and_the_job_what_they_take(repo: Path) -> None:
    found = documents(repo)
    (step,) = [row for row in found[f"{PAGE} 1"]["jobs"]["rebuild"]["steps"] if "/.ci/rebuild@" in row.get("uses", "")]
    inputs = found[ACTION]["inputs"]
    required = {name for name, row in inputs.items() if row.get("required")}
    assert required <= set(step["with"]) <= set(inputs)
    assert set(INPUT.findall((repo / ACTION).read_text())) == set(inputs)
    job = found[f"{PAGE} 2"]["rebuild"]
    assert set(job["variables"]) <= set(found[GITLAB][job["extends"]]["variables"])
    assert found[f"{PAGE} 2"]["include"][0]["file"] == f"/{GITLAB}"


def test_no_input_of_the_action_can_become_a_command(repo: Path) -> None:
    """`${{ … }}` in a script is replaced before the shell reads it: a name such as `$(reboot)` would be run."""
    assert [script for document in documents(repo).values() for script in scripts_in(document) if "${{" in script] == []


TWO = """
from cosmos.cli.cosmos import rebuild
every = rebuild.variations
rebuild.variations = lambda readable: tuple(one for one in every(readable) if one.name in ("umask", "hash seed"))
"""  # all of them: test_an_adversarial_rebuild_is_the_same_in_every_variation


class Site:
    """A repository with a release, the one before it, its key and its trust.toml; and the programs on the PATH."""

    def __init__(self, where: Path, cosmos: Cosmos) -> None:
        self.image: ImageFixture = make_image(where)
        self.where = where
        self.build(cosmos)
        shutil.copytree(self.image.out, where / "previous")
        later = StarSpec("base", "1.3.0", {"usr/bin/newer": b"new"})
        make_galaxy(self.image.galaxy.path, "core", (BASE, later, APP, META), self.image.signers, seq=2)
        self.build(cosmos, "--upgrade")
        trust = self.image.signers.write_trust(where / "trust.toml")
        self.digest = Digest.of(trust.read_bytes()).hex
        self.path = f"{write_programs(where / 'bin', TWO)}:{os.environ['PATH']}"

    def build(self, cosmos: Cosmos, *words: str) -> None:
        cosmos("freeze", self.image.folder, "--home", self.image.home, *words).ok()
        cosmos("build", self.image.folder, "--home", self.image.home, "--key", self.image.secret_key).ok()

    def shell(self, script: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a script as the two services do, where the repository is checked out."""
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self.where,
            env={"PATH": self.path, "HOME": str(self.where), "LC_ALL": "C.UTF-8", **variables},
            capture_output=True,
            text=True,
        )


@pytest.fixture
def site(tmp_path: Path, cosmos: Cosmos) -> Site:
    return Site(tmp_path / "it's a site", cosmos)


@pytest.mark.slow
def test_the_action_gates_a_release_and_writes_its_notes(repo: Path, site: Site) -> None:
    inputs = {
        "release": "image/out",
        "key": "release.pub",
        "trust": "trust.toml",
        "trust-sha256": site.digest,
        "previous": "previous",
        "notes": "notes $(touch ran).md",
    }
    outcomes = {}
    for step in yaml.safe_load((repo / ACTION).read_text())["runs"]["steps"][1:]:  # the first would make cosmos
        variables = {
            name: re.sub(r"\$\{\{ inputs\.([a-z0-9-]+) \}\}", lambda match: inputs[match[1]], value)
            for name, value in step["env"].items()
        }
        variables = {
            name: value.replace("${{ runner.temp }}", str(site.where / "temp")) for name, value in variables.items()
        }
        outcomes[step["name"]] = site.shell(step["run"], {**variables, "GITHUB_STEP_SUMMARY": "summary.md"})
    assert [done.returncode for done in outcomes.values()] == [0, 0], outcomes
    assert "reproducible: " in outcomes["Rebuild"].stdout
    assert "umask 077" in outcomes["Rebuild"].stdout
    notes = (site.where / inputs["notes"]).read_text()
    assert "1.3.0" in notes
    assert (site.where / "summary.md").read_text() == notes
    assert not (site.where / "ran").exists()


@pytest.mark.slow
def test_the_job_stops_before_the_notes_where_a_release_was_changed(repo: Path, site: Site) -> None:
    job = yaml.safe_load((repo / GITLAB).read_text())[".cosmos-rebuild"]
    changes = {
        "RELEASE": "image/out",
        "TRUST_SHA256": site.digest,
        "PREVIOUS": "previous",
        "CACHE": str(site.where / "cache"),
    }
    manifest = site.image.out / "manifest.txt"
    manifest.write_text(manifest.read_text() + "\n")
    done = site.shell("\n".join(job["script"]), {**job["variables"], **changes})
    assert done.returncode == 4, done.stderr
    assert "was changed after it was built" in done.stderr
    assert not (site.where / "release-notes.md").exists()
