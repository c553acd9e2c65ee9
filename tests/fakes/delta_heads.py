"""The head of a delta with every field."""

from __future__ import annotations

from cosmos.digest import Digest
from cosmos.model.delta import DeltaHead, Documents, KeptLayers, MadeEnvelope, NewLayer, ReleaseName

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")


def make_head() -> DeltaHead:
    """Return the head."""
    frame = NewLayer(name="new-1.0.0", digest=TWO, packed_bytes=10, unpacked_bytes=30, data_bytes=10)
    patch = NewLayer(name="a-1.1.0", digest=ONE, packed_bytes=20, unpacked_bytes=40, data_bytes=5, reference=1)
    return DeltaHead(
        old=ReleaseName(release=ONE, image="x-1.0.0-x86_64.tar.zst", digest=TWO),
        new=ReleaseName(release=TWO, image="x-1.1.0-x86_64.tar.zst", digest=ONE),
        zstd="1.5.7",
        level=9,
        layers=(KeptLayers(first=0, count=1), patch, KeptLayers(first=2, count=3), frame),
        documents=Documents(
            files=(("RELEASE.json", 100), ("universe.lock.toml", 50)),
            data_bytes=7,
            reference=("RELEASE.json",),
            reference_digest=ONE,
        ),
        envelopes=(
            MadeEnvelope(of="RELEASE.json", payload_type="application/x", signatures=(("ed25519:a", bytes(64)),)),
        ),
        data_bytes=22,
        data_digest=TWO,
        installed=(("directories", ONE), ("a-1.0.0", TWO)),
    )
