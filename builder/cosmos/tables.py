"""Strict reading of TOML (and JSON): a misspelt key, a wrong type or a missing value names its dotted path.

    table = Table.parse(data, "universe.lock.toml")
    version = table.read("version", Version.parse)
    table.end()      # a key that was not read is an error

A user then reads `universe.lock.toml: star[3].versoin: unknown key`.
"""

from __future__ import annotations

import codecs
import copy
import gc
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NoReturn, TypeVar, overload

from cosmos.errors import Malformed
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_DOCUMENT_DEPTH, MAX_DOCUMENT_RATIO
from cosmos.nearest import nearest
from cosmos.plain_toml import plain_document
from cosmos.weighing import TooHeavy, demand_light_json, demand_light_toml, is_light_plain_toml

T = TypeVar("T")
D = TypeVar("D")
K = TypeVar("K")

_HALF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_MAX_FAULTS: Final = 50  # of one document that are told together: more are not read
_WRITTEN_BYTES: Final = 64 << 10  # the most that a person writes into one document
_PLACE: Final = re.compile(r"\[([0-9]{1,9})\]")
_ITEM: Final = re.compile(r"(.*)\[([0-9]{1,9})\]", re.DOTALL)
_NAMES = {str: "a string", int: "an integer", bool: "true or false", list: "an array", dict: "a table"}


@contextmanager
def uncollected() -> Iterator[None]:
    """Let no collection of garbage begin in the block, which makes many objects out of a document, and no circles.

    A collection looks at all of them again and again: that takes a fifth of the time of reading an image's index.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class BadKey(Malformed):
    """A document is malformed at one key. `path` is dotted, and empty for the whole document; `said` is the problem.

    `misspelt` is the dotted path of the key that stands there instead.
    """

    def __init__(
        self, source: str, path: str, problem: str, *, hint: str | None = None, misspelt: str | None = None
    ) -> None:
        super().__init__(source, f"{path}: {problem}" if path else problem, hint=hint)
        self.path = path
        self.said = problem
        self.misspelt = misspelt


class Table:
    """One table of a document, with the path to it. Reading a key marks it as known."""

    __slots__ = ("_data", "_path", "_seen", "source")

    def __init__(self, data: Mapping[str, object], source: str, path: str = "") -> None:
        self._data = data
        self._path = path
        self._seen: set[str] = set()
        self.source = source

    @classmethod
    def parse(
        cls, data: bytes, source: str, *, max_bytes: int = MAX_DOCUMENT_BYTES, ratio: int = MAX_DOCUMENT_RATIO
    ) -> Table:
        """Return the TOML document `data`; `source` is its file name, for errors. Raises `Malformed`.

        Its values may take `ratio` bytes of memory for each byte of the document.
        """
        text = _decoded(data, source, max_bytes)
        try:
            plain = plain_document(text) if is_light_plain_toml(data, text) else None
            if plain is not None:  # no deeper than it may be: see there
                return cls(plain, source)
            import tomllib  # 5 ms, for a document that a person wrote alone

            demand_light_toml(data, text, ratio)
            document = tomllib.loads(text)
            _demand_bounded(document, MAX_DOCUMENT_DEPTH)
        except TooHeavy as error:
            raise Malformed(source, str(error)) from error
        except (ValueError, RecursionError) as error:  # also for a number or a date that Python does not have
            raise Malformed(source, f"is not TOML: {_lowered(str(error))}") from error
        return cls(document, source)

    @classmethod
    def from_json(cls, data: bytes, source: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> Table:
        """Return the JSON object `data`, read as strictly: no doubled key, no float, no NaN. Raises `Malformed`."""
        text = _decoded(data, source, max_bytes)
        try:
            demand_light_json(data, text)
            document = json.loads(
                text, object_pairs_hook=_no_doubles, parse_float=_no_number, parse_constant=_no_number
            )
            _demand_bounded(document, MAX_DOCUMENT_DEPTH)
            if _HALF_A_PAIR.search(data):
                json.dumps(document, ensure_ascii=False).encode()  # a text with half a pair of surrogates is no Unicode
        except TooHeavy as error:
            raise Malformed(source, str(error)) from error
        except (ValueError, RecursionError) as error:
            raise Malformed(source, f"is not JSON as it must be: {_lowered(str(error))}") from error
        if not isinstance(document, dict):
            raise Malformed(source, "want a JSON object")
        return cls(document, source)

    def __contains__(self, key: str) -> bool:
        if key in self._data:
            return True
        self._seen.add(key)  # so that a misspelling of it can be told
        return False

    def dotted(self, key: str) -> str:
        """Return the path of `key` from the document's root."""
        return f"{self._path}.{key}" if self._path else key

    def fail(self, key: str, problem: str, *, hint: str | None = None) -> NoReturn:
        """Raise `BadKey` for `key` (or for the table itself when `key` is empty)."""
        raise BadKey(self.source, self.dotted(key) if key else self._path, problem, hint=hint)

    def need(self, key: str, kind: type[T]) -> T:
        """Return the value of `key`, which must be present and exactly of `kind` (`True` is not an integer)."""
        if key not in self._data:
            self._fail_missing(key)
        self._seen.add(key)
        value = self._data[key]
        return value if type(value) is kind else self._typed(value, key, kind)

    @overload
    def take(self, key: str, kind: type[T]) -> T | None: ...
    @overload
    def take(self, key: str, kind: type[T], default: D) -> T | D: ...
    def take(self, key: str, kind: type[T], default: D | None = None) -> T | D | None:
        """Return the value of `key` if it is present, else `default`."""
        return self.need(key, kind) if key in self else default

    def read(self, key: str, parse: Callable[[str], T]) -> T:
        """Return the string at `key`, parsed by `parse`; a `ValueError` becomes an error at this path."""
        return self._parsed(self.need(key, str), key, parse)

    @overload
    def take_read(self, key: str, parse: Callable[[str], T]) -> T | None: ...
    @overload
    def take_read(self, key: str, parse: Callable[[str], T], default: D) -> T | D: ...
    def take_read(self, key: str, parse: Callable[[str], T], default: D | None = None) -> T | D | None:
        """Return the string at `key`, parsed by `parse`, or `default` if the key is absent."""
        return self.read(key, parse) if key in self else default

    def count(self, key: str, *, least: int = 0, most: int = (1 << 63) - 1) -> int:
        """Return the integer at `key`, which must lie in `least..most`."""
        value = self.need(key, int)
        if not least <= value <= most:
            self.fail(key, f"want {least} to {most}, got {value}")
        return value

    def choice(self, key: str, allowed: tuple[str, ...]) -> str:
        """Return the string at `key`, which must be one of `allowed`."""
        value = self.need(key, str)
        if value not in allowed:
            self.fail(key, f"want one of {', '.join(allowed)}, got {value!r}")
        return value

    def table(self, key: str) -> Table:
        """Return the table at `key`, which must be present."""
        return Table(self.need(key, dict), self.source, self.dotted(key))

    def take_table(self, key: str) -> Table | None:
        """Return the table at `key`, or None."""
        return self.table(key) if key in self else None

    def tables(self, key: str) -> tuple[Table, ...]:
        """Return the array of tables at `key`; an absent key is an empty array."""
        rows = self.take(key, list, [])
        return tuple(
            Table(self._typed(row, f"{key}[{place}]", dict), self.source, self.dotted(f"{key}[{place}]"))
            for place, row in enumerate(rows)
        )

    def dicts(self, key: str) -> tuple[Mapping[str, object], ...]:
        """Return the array of tables at `key`, unread, for another reader; an absent key is an empty array."""
        return tuple(row._data for row in self.tables(key))

    def strings(self, key: str) -> tuple[str, ...]:
        """Return the array of strings at `key`; an absent key is an empty array."""
        rows = self.take(key, list, [])
        return tuple(rows) if {*map(type, rows)} <= {str} else self.parsed_strings(key, str)

    def parsed_strings(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """Return the array of strings at `key`, each parsed by `parse`."""
        rows = self.take(key, list, [])
        found: list[T] = []
        for place, row in enumerate(rows):  # its path is made only for an error
            text = row if type(row) is str else self._typed(row, f"{key}[{place}]", str)
            try:
                found.append(parse(text))
            except ValueError as error:
                self.fail(f"{key}[{place}]", str(error))
        return tuple(found)

    def string_map(self, key: str) -> dict[str, str]:
        """Return the table of strings at `key`; an absent key is an empty table."""
        table = self.take_table(key)
        return {} if table is None else {name: table.need(name, str) for name in table.keys()}

    def parsed_map(self, key: str, name: Callable[[str], K], parse: Callable[[str], T]) -> dict[K, T]:
        """Return the table at `key`, each name and each string value parsed; an absent key is an empty table."""
        table = self.take_table(key)
        if table is None:
            return {}
        return {table._parsed(text, text, name): table.read(text, parse) for text in table.keys()}

    def parsed_map_keys(self, key: str, name: Callable[[str], K]) -> dict[str, K]:
        """Return the keys of the table at `key`, each parsed by `name`."""
        table = self.table(key)
        return {text: table._parsed(text, text, name) for text in table.keys()}

    def part(self, keys: Collection[str]) -> Table:
        """Return the present ones of `keys` as a separate table, for another reader."""
        found = {key: self.value(key) for key in self._data if key in keys}
        return Table(found, self.source, self._path)

    def keys(self) -> Iterator[str]:
        """Iterate over all keys, in the document's order."""
        return iter(self._data)

    def value(self, key: str) -> object:
        """Return the raw value at `key` for a field of more than one form."""
        if key not in self._data:
            self._fail_missing(key)
        self._seen.add(key)
        return self._data[key]

    def unknown(self) -> tuple[str, ...]:
        """Return the dotted paths of the keys that were not read."""
        return tuple(self.dotted(key) for key in self._data if key not in self._seen)

    def end(self) -> None:
        """Refuse the table if it holds a key that was not read."""
        unread = [key for key in self._data if key not in self._seen]
        if unread:
            meant = nearest(unread[0], self._seen - self._data.keys())
            hint = f"did you mean {meant[0]}?" if meant else None
            raise BadKey(self.source, self.dotted(unread[0]), "unknown key", hint=hint)

    def _fail_missing(self, key: str) -> NoReturn:
        """Refuse the table for a key that it lacks; a key of nearly that name is the likely mistake."""
        written = nearest(key, [name for name in self._data if name not in self._seen])
        if written:
            problem, misspelt = f"missing, but there is {written[0]}", self.dotted(written[0])
            raise BadKey(self.source, self.dotted(key), problem, hint=f"did you mean {key}?", misspelt=misspelt)
        self.fail(key, "missing")

    def _typed(self, value: object, key: str, kind: type[T]) -> T:
        if type(value) is not kind:
            self.fail(
                key, f"want {_NAMES.get(kind, kind.__name__)}, got {_NAMES.get(type(value), type(value).__name__)}"
            )
        return value

    def _parsed(self, text: str, key: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(text)
        except ValueError as error:
            self.fail(key, str(error))


def read_whole(data: bytes, source: str, read: Callable[[Table], T], stand_ins: Mapping[str, object]) -> T:
    """Return what `read` makes of the TOML document `data`; raises its first fault, which carries the others (`also`).

    A fault that follows from the one before is not told: that a faulty key is missing, or its table empty, without it.
    Of a document that no person writes, only the first fault is told: each further one reads the document once more.
    """
    table = Table.parse(data, source)
    try:
        return read(table)
    except BadKey as first:
        if len(data) > _WRITTEN_BYTES:
            raise
        _, faults = every_fault(Table(table._data, source), read, stand_ins)
        told: list[str] = []
        for fault in faults:
            if not any(f"{path}.".startswith((f"{fault.path}.", f"{fault.path}[")) for path in told):
                first.also = (*first.also, fault) if told else ()
                told.append(fault.path)
        raise


def every_fault(
    table: Table, read: Callable[[Table], T], stand_ins: Mapping[str, object]
) -> tuple[T | None, tuple[BadKey, ...]]:
    """Return what `read` makes of `table` without its faulty keys, and every fault. None: too little is left.

    Each fault is one that `read` raises. Then its key is taken out, or its value in `stand_ins` put in its place, and
    the rest is read again.

    >>> made = Table({"a": 1, "b": 2}, "x")
    >>> _, found = every_fault(made, lambda table: [table.need("a", str), table.end()], {"a": ""})
    >>> [str(fault) for fault in found]
    ['x: a: want a string, got an integer', 'x: b: unknown key']
    """
    document, faults, gone = dict(copy.deepcopy(table._data)), list[BadKey](), dict[str, list[int]]()
    while len(faults) < _MAX_FAULTS:
        try:
            return read(Table(document, table.source)), tuple(faults)
        except BadKey as fault:
            written = _PLACE.sub(lambda found: f"[{_place_before(found, gone)}]", fault.path)
            faults.append(BadKey(table.source, written, fault.said, hint=fault.hint))
            if fault.misspelt is not None:
                _taken_out(document, fault.misspelt)  # it has been told
            if (item := _ITEM.fullmatch(fault.path)) is not None:  # else it is a key, of which "x]" is one
                inside, place = item[1], int(item[2])
                gone.setdefault(inside, []).append(_place_of(place, gone.get(inside, ())))
            if fault.path in stand_ins and document.get(fault.path) != stand_ins[fault.path]:
                document[fault.path] = stand_ins[fault.path]
            elif not _taken_out(document, fault.path):
                break
    return None, tuple(faults)


def _place_before(found: re.Match[str], gone: Mapping[str, list[int]]) -> int:
    return _place_of(int(found[1]), gone.get(found.string[: found.start()], ()))


def _place_of(place: int, gone: Iterable[int]) -> int:
    """Return where the item at `place` was before the items at `gone` were taken out of its array."""
    for one in sorted(gone):
        place += one <= place
    return place


def _taken_out(value: object, path: str) -> bool:
    """Take the value at the dotted `path` out of a document; return whether it was there."""
    if isinstance(value, dict):
        if path in value:
            del value[path]
            return True
        inside = ((value[key], path[len(key) :]) for key in value if path.startswith((f"{key}.", f"{key}[")))
        return any(_taken_out(child, rest.removeprefix(".")) for child, rest in inside)
    if isinstance(value, list) and (match := _PLACE.match(path)) and int(match[1]) < len(value):
        if path[match.end() :]:
            return _taken_out(value[int(match[1])], path[match.end() :].removeprefix("."))
        del value[int(match[1])]
        return True
    return False


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is no integer")


def _decoded(data: bytes, source: str, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise Malformed(source, f"has {len(data)} bytes, the limit is {max_bytes}")
    if data.startswith(codecs.BOM_UTF8):
        raise Malformed(source, "begins with a byte order mark", hint="save it as UTF-8 without a BOM")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(source, f"is not UTF-8 at byte {error.start}") from error


def _demand_bounded(value: object, left: int) -> None:
    """Raise `TooHeavy` for what is nested too deeply, and for a number that other readers would not keep."""
    if type(value) is int:
        if not -(1 << 63) <= value < 1 << 63:
            raise TooHeavy("has a number that does not fit into 64 bits")
    elif isinstance(value, dict | list):
        if left == 0:
            raise TooHeavy(f"is nested more than {MAX_DOCUMENT_DEPTH} deep")
        for item in value.values() if isinstance(value, dict) else value:
            if type(item) is not str:  # most are
                _demand_bounded(item, left - 1)


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]
