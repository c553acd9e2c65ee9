"""A secret key's seed is in its own file and nowhere else: not in an image, a store, an answer or an error."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from fakes.galaxies import make_signers
from fakes.images import BASE, make_image
from fakes.programs import Cosmos


@pytest.mark.objective("SO-26")
def test_signing_an_image_leaves_the_seed_in_no_file_and_no_answer(tmp_path: Path, cosmos: Cosmos) -> None:
    signers = make_signers()
    seeds = [bytes(key._signing) for key in signers.keys.values()]
    forms = [form for seed in seeds for form in (seed, seed.hex().encode(), base64.b64encode(seed).rstrip(b"="))]
    image = make_image(tmp_path, (BASE,))
    said = [
        cosmos("freeze", image.folder, "--home", image.home).ok(),
        cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key, "--json").ok(),
        cosmos("key", "show", image.secret_key, "--json").ok(),
        cosmos("build", image.folder, "--home", image.home, "--key", image.folder / "image.toml"),
    ]
    for outcome in said:
        assert not [form for form in forms if form in (outcome.out + outcome.err).encode()]
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and file != image.secret_key]
    assert len(kept) > 10
    assert [str(file) for file in kept for form in forms if form in file.read_bytes()] == []
    shown = [Path("/proc/self/cmdline").read_bytes(), *os.environb.values()]  # of what was run in this process
    assert [form for text in shown for form in forms if form in text] == []
