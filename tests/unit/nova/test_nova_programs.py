"""What a receipt says of a program that `run()` started, and how long all programs of a script may take."""

from __future__ import annotations

import pytest

from cosmos.digest import Digest
from cosmos.nova import meter
from cosmos.sandbox.run_outcome import RunOutcome


class Idle:
    """Programs that do nothing, with tools of `digest`."""

    def __init__(self, digest: Digest | None) -> None:
        self.digest = digest

    def run(self, words, env, tree):
        return RunOutcome(status=0, tree=tree, tools=self.digest)


@pytest.mark.parametrize("digest", [None, Digest.of(b"tools")])
def test_a_receipt_says_which_tools_a_program_had(install, digest):
    event = install('run{"make"}', programs=Idle(digest)).receipt.events[-1]
    assert event.verb == "run"
    assert event.facts["tools"] == (digest or "host")


def test_the_programs_of_one_script_have_their_time_together(failure, monkeypatch):
    monkeypatch.setattr(meter, "MAX_NOVA_PROGRAMS_SECONDS", 0)
    assert "its programs took more than 0 seconds together" in str(failure('run{"x"}', programs=Idle(None)))
