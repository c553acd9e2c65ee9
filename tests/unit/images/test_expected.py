"""Anybody can check one commit against one number: the same inputs give the same root, or a line names why."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from cosmos.digest import Digest

ROOT = f"sha256:{'1' * 64}"
DEB = f"sha256:{'d' * 64}"


@pytest.fixture
def expected(repo: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(repo / "images"))
    import expected

    return expected


class Clone:
    """A clone in which `make image` has run: two stars, one of them made of a package, and a binary."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.package, self.root, self.seq = "590-1", ROOT, 1
        self.libraries: dict[str, str] = {}
        self.content = {"less": f"sha256:{'2' * 64}", "own": f"sha256:{'3' * 64}"}
        for name in self.content:
            self.write(f"stars/{name}/star.toml", f'name = "{name}"\n')
        self.write("requirements.txt", "click==1\n")
        self.write("freeze/requirements-binary.txt", "click==1\n")
        self.program = {"python": "Debian bookworm", "builder/cosmos/a.py": "aa", "freeze/b.py": "bb"}
        self.packages = {"libssl3_3.0%3a1_amd64.deb": "d0"}
        self.build()

    def write(self, name: str, text: str) -> Path:
        file = self.where / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def build(self) -> None:
        """Write what `make image` leaves."""
        stamp = {"inputs": self.program, "libraries": self.libraries, "packages": self.packages}
        self.write("build/binary/inputs.json", json.dumps(stamp))
        lock = '[build]\nzstd = "1.5.7"\nlayer-format = 1\n[[galaxy]]\nurl = "../../.cosmos/galaxy"\n'
        for name, content in self.content.items():
            origin = f'[[origin]]\nname = "less"\nversion = "{self.package}"\ndigest = "{DEB}"\n'
            statement = f'[statement]\nseq = {self.seq}\ncontent = "{content}"\n'
            file = self.write(f".cosmos/galaxy/stars/{name}.toml", (origin if name == "less" else "") + statement)
            lock += f'[[star]]\nname = "{name}"\nstatement = "{Digest.of(file.read_bytes())}"\n'
        self.write("images/rescue/out/universe.lock.toml", lock)
        parameters = {
            "externalParameters": {"definition": "sha256:0"},
            "internalParameters": {"contentRoot": self.root},
        }
        self.write("images/rescue/out/RELEASE.json", json.dumps({"predicate": {"buildDefinition": parameters}}))


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


@pytest.fixture
def run(expected: ModuleType, clone: Clone, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def call(word: str) -> tuple[int, str]:
        code = expected.main([word, "images/rescue"], clone.where)
        out, err = capsys.readouterr()
        assert (out + err).count("\n") <= 1, "the answer is one line"
        assert bool(err) == (code != 0)
        return code, out + err

    return call


Run = Callable[[str], tuple[int, str]]


def test_an_image_that_nobody_published_is_passed_without_a_word(run: Run) -> None:
    assert run("check") == (0, "")


def test_the_same_inputs_give_the_published_image(run: Run, clone: Clone) -> None:
    assert run("write") == (0, "images/rescue/expected.toml: written\n")
    assert run("check") == (0, f"as published: content root {ROOT}\n")
    clone.seq = 7  # a galaxy of another clone, signed by its own keys at another number
    clone.build()
    assert run("check") == (0, f"as published: content root {ROOT}\n")


def test_the_same_inputs_with_another_root_are_an_error_that_names_the_star(run: Run, clone: Clone) -> None:
    run("write")
    clone.root = ROOT.replace("1", "9")
    clone.content["less"] = f"sha256:{'8' * 64}"
    clone.build()
    code, said = run("check")
    assert code == 7
    assert f"the content root is {clone.root}, not {ROOT}: other contents of less\n" in said


def test_where_no_star_differs_the_image_itself_is_named(run: Run, clone: Clone) -> None:
    run("write")
    clone.root = ROOT.replace("1", "9")
    clone.build()
    code, said = run("check")
    assert (code, "the image's own part differs" in said) == (7, True)


def move_package(clone: Clone) -> None:
    clone.package = "590-2"


def move_program(clone: Clone) -> None:
    clone.program["builder/cosmos/a.py"] = "ab"


def move_python(clone: Clone) -> None:
    clone.program["python"] = "Debian trixie"


def move_recipe(clone: Clone) -> None:
    clone.write("stars/own/install.lua", "function install() end\n")


def move_mode(clone: Clone) -> None:
    (clone.where / "stars/own/star.toml").chmod(0o755)


def move_binary_package(clone: Clone) -> None:
    clone.packages = {"libssl3_3.0%3a2_amd64.deb": "d0"}


def move_rebuilt_package(clone: Clone) -> None:
    clone.packages = {"libssl3_3.0%3a1_amd64.deb": "d1"}


def move_requirements(clone: Clone) -> None:
    clone.write("requirements.txt", "click==2\n")


def move_locked_wheels(clone: Clone) -> None:
    clone.write("freeze/requirements-binary.txt", "click==2\n")


@pytest.mark.parametrize(
    ("move", "named"),
    [
        (move_package, "packages less 590-1 -> 590-2"),
        (move_program, "binary program"),
        (move_python, "binary python Debian bookworm -> Debian trixie"),
        (move_recipe, "recipes own"),
        (move_mode, "recipes own"),
        (move_binary_package, "binary-packages libssl3 3.0:1 -> 3.0:2"),
        (move_rebuilt_package, "binary-packages libssl3 (same version, other bytes)"),
        (move_requirements, "tools requirements.txt"),
        (move_locked_wheels, "binary requirements-binary.txt"),
    ],
)
@pytest.mark.parametrize("root", [ROOT, ROOT.replace("1", "9")])
def test_an_input_that_moved_is_named_and_is_no_failure(
    run: Run, clone: Clone, move: Callable[[Clone], None], named: str, root: str
) -> None:
    run("write")
    move(clone)
    clone.root = root
    clone.build()
    code, said = run("check")
    assert code == 0
    assert f"this moved: {named}" in said
    assert said.startswith("as published, although" if root == ROOT else "not as published, because")


def test_where_nothing_differs_the_file_is_not_written_again(run: Run, clone: Clone) -> None:
    """It was written each time, and nothing was said."""
    assert run("write") == (0, "images/rescue/expected.toml: written\n")
    file = clone.where / "images/rescue/expected.toml"
    file.chmod(0o444)
    before = {path: path.stat() for path in clone.where.rglob("*")}
    assert run("write") == (0, "images/rescue/expected.toml: nothing differs, so it stays as it is\n")
    assert {path: path.stat().st_mtime_ns for path in clone.where.rglob("*")} == {
        path: about.st_mtime_ns for path, about in before.items()
    }
    assert file.stat().st_ino == before[file].st_ino
    move_package(clone)
    clone.build()
    assert run("write") == (0, "images/rescue/expected.toml: written\n")
    assert "590-2" in file.read_text()
    assert [path.name for path in file.parent.iterdir() if path.is_file()] == ["expected.toml"]


def test_where_the_binary_is_made_with_the_machines_python_its_libraries_are_inputs(run: Run, clone: Clone) -> None:
    clone.program |= {"python": "3.11.7 (main)", "python at": "/opt/python"}
    clone.libraries = {"/usr/lib/libssl.so.3": "aa"}
    clone.build()
    run("write")
    clone.libraries = {"/usr/lib/libssl.so.3": "ab"}
    clone.root = ROOT.replace("1", "9")
    clone.build()
    code, said = run("check")
    assert (code, "this moved: binary-libraries libssl.so.3 (" in said) == (0, True), said


def test_many_that_moved_are_one_line_with_their_number(run: Run, clone: Clone) -> None:
    run("write")
    for move in (move_package, move_program, move_python, move_recipe, move_requirements, move_locked_wheels):
        move(clone)
    clone.root = ROOT.replace("1", "9")
    clone.build()
    assert " and 1 more (make expected" in run("check")[1]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("images/rescue/expected.toml", "format = 2\n", "run make expected"),
        ("images/rescue/expected.toml", "format =", "expected.toml"),
        (
            "images/rescue/expected.toml",
            'format = 1\ncontent-root = "x"\ninputs = 3\nstars = {}\n',
            "run make expected",
        ),
        ("images/rescue/expected.toml", 'format = 1\ncontent-root = "x"\nstars = {}\n', "run make expected"),
        ("images/rescue/out/RELEASE.json", "{}", "run make image"),
        ("images/rescue/out/universe.lock.toml", "x", "universe.lock.toml"),
        ("build/binary/inputs.json", "[]", "run make binary"),
        ("images/rescue/out/universe.lock.toml", "x = 1", "lacks"),
        (".cosmos/galaxy/stars/own.toml", "", "no statement of own"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(run: Run, clone: Clone, name: str, text: str, said: str) -> None:
    run("write")
    clone.write(name, text)
    code, line = run("check")
    assert (code, said in line) == (2, True), line


def test_the_committed_file_is_as_it_was_written_and_names_every_kind_of_input(
    expected: ModuleType, repo: Path
) -> None:
    published = expected.Expected.read(repo / "images/rescue/expected.toml")
    assert published.to_toml("images/rescue") == (repo / "images/rescue/expected.toml").read_text()
    assert set(published.stars) == set(published.inputs["recipes"])
    assert {"definition", "tools", "packages", "recipes", "binary", "binary-packages"} == set(published.inputs)


def test_the_script_needs_nothing_but_the_standard_library(repo: Path) -> None:
    lines = (repo / "images/expected.py").read_text().splitlines()
    imported = {line.split()[1].partition(".")[0] for line in lines if line.startswith(("import ", "from "))}
    assert imported - {"__future__"} <= sys.stdlib_module_names
