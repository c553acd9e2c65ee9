"""A delta on disk: opened and verified before anything in it is used (the form is in model.delta).

In this order: the envelope's form and signature, over the head; the head's form; the size of the data and its digest.
A reader of an altered delta stops before it decompresses anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from cosmos.content import Content, FileRange, HeldFile, content_digest
from cosmos.errors import Malformed, Refused
from cosmos.limits import MAX_DELTA_ENVELOPE_BYTES
from cosmos.model.delta import DELTA_LENGTH_BYTES, DELTA_MAGIC, DeltaHead, KeptLayers, NewLayer
from cosmos.reading import open_plain
from cosmos.records import dataclass
from cosmos.trust.keys import PublicKey
from cosmos.trust.releases import verify_delta

_AGAIN: Final = "get the delta again from where it came"
_START = len(DELTA_MAGIC) + DELTA_LENGTH_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenDelta:
    """A delta whose signature and data were verified. `source` names it in errors."""

    source: str
    head: DeltaHead
    data: FileRange

    @classmethod
    def open(cls, path: Path, *, keys: Iterable[PublicKey], threshold: int) -> OpenDelta:
        """Return the delta in the file `path`. Raises `Malformed`, `Refused` and `OSError`."""
        source = str(path)
        with open_plain(path) as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            start = stream.read(_START)
            if not start.startswith(DELTA_MAGIC) or len(start) < _START:
                raise Malformed(source, "is no delta of cosmos", hint="cosmos delta OLD NEW -o FILE makes one")
            length = int.from_bytes(start[len(DELTA_MAGIC) :], "little")
            if length > min(MAX_DELTA_ENVELOPE_BYTES, size_bytes - _START):
                raise Malformed(
                    source, f"is cut off, or its head has more than {MAX_DELTA_ENVELOPE_BYTES} bytes", hint=_AGAIN
                )
            verified = verify_delta(stream.read(length), keys=keys, threshold=threshold, source=source)
            file = HeldFile(os.dup(stream.fileno()), source)
        head = DeltaHead.parse(verified.payload, source)
        data = FileRange(file, _START + length, size_bytes - _START - length)
        if len(data) != head.data_bytes:
            more = "is cut off" if len(data) < head.data_bytes else "has something after its end"
            raise Malformed(source, f"{more}: want {head.data_bytes} bytes of data, got {len(data)}", hint=_AGAIN)
        if content_digest(data) != head.data_digest:
            raise Refused(
                source, f"its data is {content_digest(data)}, but its head names {head.data_digest}", hint=_AGAIN
            )
        return cls(source=source, head=head, data=data)

    def layers(self) -> Iterator[tuple[KeptLayers | NewLayer, Content]]:
        """Yield each layer of the new image, with its data: a frame or a patch."""
        place = 0
        for layer in self.head.layers:
            size = layer.data_bytes if isinstance(layer, NewLayer) else 0
            yield layer, self.data[place : place + size]
            place += size

    def documents(self) -> Content:
        """Return the packed files."""
        return self.data[self.head.data_bytes - self.head.documents.data_bytes :]
