"""A star with one very large file is built, published, installed and packed into an image in little memory."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow]

MAX_PEAK_MIB = 100
MIB = 1 << 20
SIZES = [
    pytest.param(300 * MIB, id="300 MiB"),
    pytest.param(4096 * MIB - MIB, id="4 GiB", marks=pytest.mark.exhaustive),
]
# The program is not started from here: a process begins with the peak of the one that forked it.
MEASURE = """
import json, resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True, stdin=subprocess.DEVNULL)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
json.dump([done.returncode, done.stdout + done.stderr, peak], sys.stdout)
"""


@dataclass(frozen=True)
class Trial:
    """A folder, and the programs at work in it."""

    folder: Path

    def run(self, program: str, *words: object, status: int = 0) -> str:
        """Return what the program says; it must end with `status`, and with little memory used."""
        argv = [sys.executable, "-I", "-S", "-c", MEASURE, str(Path(sys.executable).with_name(program))]
        measured = subprocess.run(
            [*argv, *(str(word) for word in words)],
            capture_output=True,
            text=True,
            check=True,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "COSMOS_HOME": str(self.folder / "home"), "TMPDIR": str(self.folder)},
        )
        returned, said, peak_kib = json.loads(measured.stdout)
        assert returned == status, said
        assert peak_kib < MAX_PEAK_MIB << 10, f"{program} {words[0]}: {peak_kib >> 10} MiB"
        return str(said)


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    made = Trial(tmp_path)
    for role in ("root", "author", "galaxy", "release"):
        made.run("cosmos", "key", "new", role, "--role", role, "--no-passphrase")
    pins = [word for role in ("root", "author", "galaxy", "release") for word in (f"--{role}", key(role, "pub"))]
    made.run("stellar", "trust", "new", "--description", "x", "--out", "trust.toml", *pins, "--sign", key("root"))
    return made


def key(role: str, suffix: str = "key") -> str:
    return f"home/keys/{role}.{suffix}"


def source_folder(folder: Path, size_bytes: int) -> None:
    shipped = folder / "files/usr/share/large"
    shipped.parent.mkdir(parents=True)
    with shipped.open("wb") as stream:
        for place in range(0, size_bytes, MIB):
            stream.seek(place)
            stream.write(random.Random(place).randbytes(16 << 10))  # an archive of holes alone would be refused
        stream.truncate(size_bytes)
    (folder / "star.toml").write_text(
        'name = "large"\nversion = "1.0.0"\ntype = "normal"\ndescription = "x"\nlicense = "MIT"\narch = "any"\n'
        'install_script = "install.lua"\n'
    )
    (folder / "install.lua").write_text('function install()\n    copy("files/", "/")\nend\n')


def trusted(trial: Trial, *where: str) -> None:
    digest = subprocess.run(["sha256sum", trial.folder / "trust.toml"], capture_output=True, text=True, check=True)
    trial.run("cosmos", "trust", "init", "trust.toml", "--sha256", digest.stdout.split()[0], *where)


@pytest.mark.parametrize("size_bytes", SIZES)
def test_a_star_with_a_very_large_file_takes_little_memory_from_its_folder_to_a_system(
    trial: Trial, size_bytes: int
) -> None:
    source_folder(trial.folder / "large", size_bytes)
    trial.run("stellar", "validate", "large")
    trial.run("stellar", "build-star", "large", "--out", "galaxy/packages")
    archive = "galaxy/packages/large-1.0.0.tar.zst"
    trial.run("stellar", "validate", archive)
    trial.run("stellar", "galaxy-init", "galaxy")
    trial.run("stellar", "index-galaxy", "galaxy", "--key", key("author"), "--key", key("galaxy"))

    system = trial.folder / "system"
    system.mkdir()
    there = ("--root", str(system))
    trial.run("cosmos", "init", *there)
    trusted(trial, *there)
    trial.run("cosmos", "add-galaxy", "galaxy", trial.folder / "galaxy", *there)
    trial.run("cosmos", "sync", "--full", *there)
    trial.run("cosmos", "install", "large", *there)
    assert (system / "usr/share/large").stat().st_size == size_bytes
    trial.run("cosmos", "verify", *there)
    trial.run("cosmos", "status", *there)
    trial.run("cosmos", "freeze", *there)
    with (system / "usr/share/large").open("r+b") as stream:
        stream.seek(size_bytes - 2)
        stream.write(b"!")
    assert "has other bytes" in trial.run("cosmos", "verify", *there, status=7)


@pytest.mark.parametrize("size_bytes", SIZES)
def test_an_image_with_a_very_large_file_takes_little_memory_to_build_and_to_verify(
    trial: Trial, size_bytes: int
) -> None:
    source_folder(trial.folder / "large", size_bytes)
    trial.run("stellar", "galaxy-init", "galaxy")
    trial.run("stellar", "build-star", "large", "--galaxy", "galaxy", "--key", key("author"))
    trial.run("stellar", "index-galaxy", "galaxy", "--key", key("galaxy"))
    trusted(trial)
    template = trial.folder / "rootfs-templates/none"
    (template / "root").mkdir(parents=True)
    (template / "template.toml").write_text('description = "nothing"\nmerged-usr = true\n')
    image = trial.folder / "images/one"
    image.mkdir(parents=True)
    (image / "image.toml").write_text(
        'name = "one"\nversion = "1.0.0"\ndescription = "x"\narch = "x86_64"\ntemplate = "none"\n'
        f'source-date-epoch = 1000000000\n\n[stars]\nlarge = "*"\n\n[galaxies]\ngalaxy = "{trial.folder}/galaxy"\n'
    )
    trial.run("cosmos", "freeze", "images/one")
    trial.run("cosmos", "build", "images/one", "--key", key("release"))
    trial.run("cosmos", "verify", "images/one/out", "--key", key("release", "pub"))
