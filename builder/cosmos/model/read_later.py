"""`ReadLater`: an array of texts of a document, each of which is read when somebody asks for its value.

A universe has a line for each of 50,000 files, and most commands ask for none of them. A document that is written
again takes over the texts as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar, overload

from cosmos.tables import BadKey

T = TypeVar("T")


class ReadLater(Sequence[T], Generic[T]):
    """The values of `texts`, read by `read` at each access. Raises `BadKey` there for a text that `read` refuses.

    `source` is the file, and `path` the dotted path of the array in it. Each value must have exactly one text: two
    arrays are equal if their texts are.
    """

    __slots__ = ("_path", "_read", "_source", "texts")

    def __init__(self, texts: Sequence[str], read: Callable[[str], T], source: str = "", path: str = "") -> None:
        self.texts = texts
        self._read = read
        self._source = source
        self._path = path

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[T]:
        read, place = self._read, -1
        try:
            for place, text in enumerate(self.texts):  # noqa: B007 - the place is for an error
                yield read(text)
        except ValueError as error:
            raise BadKey(self._source, f"{self._path}[{place}]", str(error)) from error

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...
    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        if isinstance(place, slice):
            return tuple(self)[place]
        try:
            return self._read(self.texts[place])
        except ValueError as error:
            raise BadKey(self._source, f"{self._path}[{place}]", str(error)) from error

    def __eq__(self, other: object) -> bool:
        if isinstance(other, ReadLater):
            return self.texts is other.texts or list(self.texts) == list(other.texts)
        if isinstance(other, tuple):
            return tuple(self) == other
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to a tuple, but not hashed as one

    def __repr__(self) -> str:
        return f"ReadLater({list(self.texts)!r})"


def texts_of(values: Iterable[T], write: Callable[[T], str]) -> list[str]:
    """Return the text of each value: as it was read, or as `write` writes it."""
    return list(values.texts) if isinstance(values, ReadLater) else [write(value) for value in values]
