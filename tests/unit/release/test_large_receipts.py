"""A script that leaves the longest receipt hides no other star's."""

from __future__ import annotations

from pathlib import Path

from cosmos.canon import canonical_json
from cosmos.limits import MAX_NOVA_RECEIPT_BYTES
from cosmos.release.receipts import RECEIPTS_FILE, read_receipt


def test_the_receipts_of_a_release_are_read_however_long_one_script_made_its_own(tmp_path: Path) -> None:
    long = {"events": ["x" * (1 << 20)] * ((MAX_NOVA_RECEIPT_BYTES >> 20) + 1)}
    data = canonical_json({"receipts-version": 1, "stars": {"long": long, "short": {"events": []}}, "finish": None})
    (tmp_path / RECEIPTS_FILE).write_bytes(data)
    assert read_receipt(tmp_path, "short") == {"events": []}
