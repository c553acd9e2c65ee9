"""Make the JSON Schema of a document from the code that reads it: the reader runs on a table that records each access.

    schema_of(Image.read)

A `Recorder` is a `Table` that has every key. It answers with a sample that the reader accepts, and notes the type of
the key. Where a reader may go another way (a key that may be missing, one of several words, a value of more than one
form), it runs again for each other way. The schema allows what any way reads. So it refuses an unknown key and a wrong
type, but it cannot know what a reader demands of a text, or of two keys together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from cosmos.canon import Json
from cosmos.errors import CosmosError
from cosmos.tables import BadKey, Table

T = TypeVar("T")
K = TypeVar("K")
Schema = dict[str, Json]

_ANY: Final = "wild"  # a key that stands for all that a person may choose
_TEXTS: Final = (
    *("a", "1.0.0", "0644", "/a", "x86_64", "^1", "20 GiB", "a/b", "0" * 64, "sha256:" + "0" * 64, "semver"),
    *("deb:a", "a | b", "2026.01.01", "ed25519:" + "0" * 64, "locked"),
    "cosmos-key-v1 ed25519 a WGZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY=",  # Ed25519's base point (RFC 8032 §5.1)
)
_TYPES: Final = {str: "string", int: "integer", bool: "boolean", list: "array", dict: "object"}
_FORMS: Final[tuple[object, ...]] = ("a", ["a"], {})  # of a value that a reader looks at itself
_MOST_RUNS: Final = 5  # of one way: each takes out a key that this way does not have


class _Way:
    """One way through a reader: which of its possible answers each question gets; the first, unless `chosen`."""

    def __init__(self, chosen: Mapping[str, int]) -> None:
        self.chosen = dict(chosen)
        self.questions: dict[str, int] = {}

    def answer(self, question: str, answers: int) -> int:
        self.questions[question] = answers
        return self.chosen.get(question, 0)


class Recorder(Table):
    """A table that has every key, and records how each was read. `texts` are samples for keys of that name."""

    __slots__ = ("_asked", "_closed", "_inside", "_required", "_rows", "_texts", "_way")

    def __init__(self, way: _Way, texts: Mapping[str, str], path: str = "") -> None:
        super().__init__({}, "schema", path)
        self._way, self._texts = way, texts
        self._rows: dict[str, Schema] = {}
        self._inside: dict[str, tuple[bool, Recorder]] = {}  # key -> (whether it is an array, its table)
        self._asked: set[str] = set()
        self._required: set[str] = set()
        self._closed = False

    def __contains__(self, key: str) -> bool:
        self._asked.add(key)
        return not self._way.answer(f"{self.dotted(key)}?", 2)

    def need(self, key: str, kind: type[T]) -> T:
        """Return a sample of `kind`."""
        self._note(key, {"type": _TYPES[kind]})
        samples: dict[type, object] = {str: self._texts.get(key, "a"), int: 1, bool: True, list: ["a"], dict: {}}
        sample = samples[kind]
        assert type(sample) is kind
        return sample

    def read(self, key: str, parse: Callable[[str], T]) -> T:
        """Return the first sample that `parse` takes."""
        self._note(key, {"type": "string"})
        return self._parsed_sample(key, parse)

    def count(self, key: str, *, least: int = 0, most: int = (1 << 63) - 1) -> int:
        """Return a number in `least..most`."""
        self._note(key, {"type": "integer", "minimum": least, "maximum": most})
        return int(self._texts.get(key, max(least, min(1, most))))

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        """Return one of `allowed`, each in a way of its own."""
        self._note(key, {"enum": [*allowed]})
        return allowed[self._way.answer(self.dotted(key), len(allowed))]

    def table(self, key: str) -> Table:
        """Return a recorder for the table at `key`."""
        return self._child(key, is_array=False)

    def tables(self, key: str) -> tuple[Table, ...]:
        """Return one recorder, for the tables at `key`; none in the way without this key."""
        is_there = key in self
        child = self._child(key, is_array=True)
        return (child,) if is_there else ()

    def dicts(self, key: str) -> tuple[Mapping[str, object], ...]:
        """Return no tables: another reader reads them."""
        self._asked.add(key)
        self._note(key, {"type": "array", "items": {"type": "object"}})
        return ()

    def strings(self, key: str) -> tuple[str, ...]:
        """Return one sample."""
        return self.parsed_strings(key, str)

    def parsed_strings(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """Return one sample that `parse` takes; no sample in the way without this key."""
        is_there = key in self
        self._note(key, {"type": "array", "items": {"type": "string"}})
        return (self._parsed_sample(key, parse),) if is_there else ()

    def string_map(self, key: str) -> dict[str, str]:
        """Return one row."""
        return self.parsed_map(key, str, str)

    def parsed_map(self, key: str, name: Callable[[str], K], parse: Callable[[str], T]) -> dict[K, T]:
        """Return one row that `name` and `parse` take."""
        self._asked.add(key)
        self._note(key, {"type": "object", "additionalProperties": {"type": "string"}})
        return {self._parsed_sample(key, name): self._parsed_sample(key, parse)}

    def parsed_map_keys(self, key: str, name: Callable[[str], K]) -> dict[str, K]:
        """Return the one key that stands for all."""
        return {_ANY: self._parsed_sample(key, name)}

    def part(self, keys: Collection[str]) -> Table:
        """Return an empty table: another reader reads these keys."""
        for key in keys:
            self._asked.add(key)
            self._note(key, {})
        return Table({}, self.source)

    def keys(self) -> Iterator[str]:
        """Iterate over the one key that stands for all."""
        return iter((_ANY,))

    def value(self, key: str) -> object:
        """Return a value of one of the forms that there may be, each in a way of its own."""
        self._rows.setdefault(key, {})
        return _FORMS[self._way.answer(self.dotted(key), len(_FORMS))]

    def unknown(self) -> tuple[str, ...]:
        """Return nothing: unknown keys pass."""
        return ()

    def end(self) -> None:
        """Note that an unknown key is an error."""
        self._closed = True

    @property
    def is_whole(self) -> bool:
        """Whether the reader has read the table to its end."""
        return self._closed

    def schema(self) -> Schema:
        """Return what was recorded."""
        rows = dict(self._rows)
        for key, (is_array, table) in self._inside.items():
            rows[key] = {"type": "array", "items": table.schema()} if is_array else table.schema()
        other: Json = rows.pop(_ANY, not self._closed)
        found: Schema = {"type": "object", "properties": {**rows}, "additionalProperties": other}
        required: list[Json] = [*sorted(self._required - self._asked - {_ANY})]
        return {**found, "required": required} if required else found

    def _note(self, key: str, schema: Schema) -> None:
        self._rows[key] = schema
        self._required.add(key)

    def _child(self, key: str, *, is_array: bool) -> Recorder:
        self._required.add(key)
        if key not in self._inside:
            below = self.dotted(f"{key}[0]" if is_array else key)
            self._inside[key] = (is_array, Recorder(self._way, self._texts, below))
        return self._inside[key][1]

    def _parsed_sample(self, key: str, parse: Callable[[str], T]) -> T:
        for text in (self._texts.get(key, "a"), *_TEXTS):
            try:
                return parse(text)
            except (ValueError, CosmosError):
                continue
        raise ValueError(f"{self.dotted(key)}: no sample is good")


def schema_of(read: Callable[[Table], object], samples: Iterable[Mapping[str, str]] = ({},)) -> Schema:
    """Return the schema of the documents that `read` takes.

    `samples` are texts for keys that need one of their own. With several, the schema allows what any of them leads to.
    """
    return functools.reduce(_either, (_schema_of(read, texts) for texts in samples))


def _schema_of(read: Callable[[Table], object], texts: Mapping[str, str]) -> Schema:
    first = _recorded(read, texts, {})
    if first is None:
        raise ValueError("the reader does not take the first samples")
    found, questions = first
    tried = {(question, 0) for question in questions}
    waiting = [*questions.items()]
    while waiting:
        question, answers = waiting.pop()
        for answer in range(1, answers):
            if (question, answer) in tried:
                continue
            tried.add((question, answer))
            if (more := _recorded(read, texts, {question: answer})) is not None:
                found = _either(found, more[0])
                waiting += [one for one in more[1].items() if (one[0], 1) not in tried]
    return found


def _recorded(
    read: Callable[[Table], object], texts: Mapping[str, str], chosen: Mapping[str, int]
) -> tuple[Schema, dict[str, int]] | None:
    """Return what one way records, without the keys that this way refuses; None if there is no such way."""
    way = _Way(chosen)
    for _ in range(_MOST_RUNS):
        recorder = Recorder(way, texts)
        try:
            read(recorder)
            return recorder.schema(), way.questions
        except BadKey as error:
            if recorder.is_whole and not error.path:  # two keys together, of which the schema knows nothing
                return recorder.schema(), way.questions
            if f"{error.path}?" in chosen or way.chosen.get(f"{error.path}?"):
                return None
            way.chosen[f"{error.path}?"] = 1
    return None


def _either(one: Schema, other: Schema) -> Schema:
    """Return the schema of what `one` or `other` allows."""
    if one == other or not one:
        return one
    if not other:
        return other
    if one.get("type") == other.get("type") == "object":
        return _either_table(one, other)
    if one.get("type") == other.get("type") == "array":
        return {"type": "array", "items": _either(_dict(one.get("items")), _dict(other.get("items")))}
    forms: list[Json] = []
    for schema in (one, other):
        several = schema.get("anyOf", [schema])
        forms += [form for form in (several if isinstance(several, list) else ()) if form not in forms]
    objects = [form for form in forms if isinstance(form, dict) and form.get("type") == "object"]
    if len(objects) > 1:
        joined = _either_table(objects[0], objects[1])
        forms = [*(form for form in forms if form not in objects), joined]
    return {"anyOf": forms}


def _either_table(one: Schema, other: Schema) -> Schema:
    left, right = _dict(one.get("properties")), _dict(other.get("properties"))
    rows: Schema = {}
    for key, row in (left | right).items():
        rows[key] = _either(_dict(left[key]), _dict(right[key])) if key in left and key in right else row
    more, also = one.get("additionalProperties"), other.get("additionalProperties")
    if isinstance(more, dict) and isinstance(also, dict):
        open_to: Json = _either(more, also)
    else:
        open_to = more if isinstance(more, dict) else also if isinstance(also, dict) else bool(more or also)
    needed, besides = one.get("required"), other.get("required")
    required: list[Json] = [key for key in _list(needed) if key in _list(besides)]
    found: Schema = {"type": "object", "properties": rows, "additionalProperties": open_to}
    return {**found, "required": required} if required else found


def _dict(value: Json) -> Schema:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
