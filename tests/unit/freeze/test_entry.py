"""The start of the single-file binary, before a command runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.waiting import LONG_SECONDS

FROM_ITSELF = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise SystemExit(7)\n"


@pytest.mark.parametrize(("handler", "code"), [("SIG_DFL", -signal.SIGINT), ("SIG_IGN", 7)])
def test_ctrl_c_at_the_start_of_the_binary_prints_no_traceback(
    repo: Path, tmp_path: Path, handler: str, code: int
) -> None:
    """It comes while click is imported. What was started to ignore it (a job in the background) goes on."""
    (tmp_path / "click.py").write_text(FROM_ITSELF)
    started = (
        f"import os, signal, sys; signal.signal(signal.SIGINT, signal.{handler}); os.execv(sys.executable, sys.argv)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", started, repo / "freeze/entry.py"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{repo / 'builder'}"},
        capture_output=True,
        timeout=LONG_SECONDS,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (code, b"", b"")
