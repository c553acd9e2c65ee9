"""The head of a delta: what is written is read, and what does not add up is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cosmos.errors import Malformed
from cosmos.limits import MAX_DELTA_DOCUMENTS_BYTES, MAX_FRAME_BYTES, MAX_IMAGE_LAYERS, MAX_PATCHED_BYTES
from cosmos.model.delta import DeltaHead
from fakes.delta_heads import make_head


def test_a_head_is_read_as_it_was_written() -> None:
    head = make_head()
    assert DeltaHead.parse(head.to_bytes(), "d") == head
    assert [layer.name for layer in head.new_layers] == ["a-1.1.0", "new-1.0.0"]


WRONG: dict[str, tuple[Callable[[dict], object], str]] = {
    "format": (lambda head: head.update(format=2), "format: want 1"),
    "unknown key": (lambda head: head.update(more=1), "more: unknown key"),
    "unknown key of a layer": (lambda head: head["layers"][1].update(more=1), r"layers\[1\].more: unknown key"),
    "missing": (lambda head: head.pop("zstd"), "zstd"),
    "level": (lambda head: head.update(level=23), "level: want 1 to 22"),
    "parts": (lambda head: head["data"].update(bytes=23), "the parts have 22 bytes, but the data has 23"),
    "a layer twice the limit": (
        lambda head: head["layers"][1].update({"unpacked-bytes": MAX_PATCHED_BYTES + 1}),
        "unpacked-bytes: want 0 to",
    ),
    "a frame": (
        lambda head: head["layers"][3].update({"packed-bytes": MAX_FRAME_BYTES + 1}),
        "packed-bytes: want 0 to",
    ),
    "a frame and its data": (lambda head: head["layers"][3].update({"packed-bytes": 11}), "want 11, the size of the"),
    "layers": (lambda head: head["layers"][0].update(keep=[0, MAX_IMAGE_LAYERS]), "an image of more than"),
    "a kept layer": (lambda head: head["layers"][0].update(keep=[0, 0]), "want the place of a layer"),
    "a kept layer of truth": (lambda head: head["layers"][0].update(keep=[0, True]), "want the place of a layer"),
    "three numbers": (lambda head: head["layers"][0].update(keep=[0, 1, 2]), "want the place of a layer"),
    "documents": (
        lambda head: head["documents"]["files"][0].update(bytes=MAX_DELTA_DOCUMENTS_BYTES),
        "documents.files: have",
    ),
    "a file twice": (lambda head: head["documents"]["files"][0].update(name="universe.lock.toml"), "name a file twice"),
    "a file and an envelope": (lambda head: head["envelopes"][0].update(of="x.dsse"), ""),
    "a folder": (lambda head: head["documents"]["files"][0].update(name="a/b"), "want a plain file name"),
    "a signature": (lambda head: head["envelopes"][0]["signatures"][0].update(sig="AA"), "sig: "),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_head_that_does_not_add_up_is_refused(what: str) -> None:
    head = json.loads(make_head().to_bytes())
    change, problem = WRONG[what]
    change(head)
    if not problem:
        head["documents"]["files"][0]["name"] = "x.dsse.dsse"
        problem = "name a file twice"
    with pytest.raises(Malformed, match=problem):
        DeltaHead.parse(json.dumps(head).encode(), "d")
