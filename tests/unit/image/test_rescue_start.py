"""The rescue image says that it is well only if both of its questions say so. tests/boot asks them in a machine."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

MARKER = "/etc/cosmos/marker"


@pytest.mark.parametrize(
    ("status", "verify", "said"),
    [(0, 0, "WELL\n"), (0, 7, "COSMOS-FAILED: exit status 7\n"), (3, 0, "COSMOS-FAILED: exit status 3\n")],
)
def test_the_marker_is_printed_only_if_status_and_verify_end_well(
    repo: Path, tmp_path: Path, status: int, verify: int, said: str
) -> None:
    script = (repo / "rootfs-templates/rescue/root/etc/init.d/rcS").read_text()
    judge = script[script.index("judge() {") : script.index("\n}\n", script.index("judge() {")) + 3]
    marker = tmp_path / "marker"
    marker.write_text("WELL\n")
    around = script.replace(judge, "")
    assert judge.count(MARKER) == 1 and MARKER not in around and "\njudge\n" in around
    cosmos = f'cosmos() {{ case "$1" in status) return {status} ;; verify) return {verify} ;; esac }}\n'
    text = cosmos + judge.replace(MARKER, str(marker)) + "judge\n"
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == said
