"""`cosmos.records.dataclass` gives the same classes as the standard library's, and compiles nothing at import."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, field, replace
from functools import cached_property
from typing import Any

import pytest

from cosmos import records


@records.dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A record as most of ours are."""

    x: int
    y: int = 2
    more: list[int] = field(default_factory=list, compare=False)
    shown: str = field(default="", repr=False)
    total: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", self.x + self.y)


@records.dataclass(frozen=True, slots=True)
class Named:
    """A record whose fields are given by place."""

    name: str
    count: int = 0


@records.dataclass(frozen=True)
class Cached:
    """A record with a dictionary."""

    name: str

    @cached_property
    def long(self) -> str:
        """Return what is computed once."""
        return self.name * 2


@records.dataclass(kw_only=True, slots=True)
class Counter:
    """A record that may be changed."""

    count: int = 0


@records.dataclass(frozen=True, slots=True)
class Folded:
    """A record with an equality of its own, and so with no hash but the one of its fields."""

    name: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folded) and other.name.lower() == self.name.lower()

    def __repr__(self) -> str:
        return "folded"


@records.dataclass(frozen=True, kw_only=True, slots=True)
class Longer(Named):
    """A record with the fields of another one besides."""

    far: bool = False


TWINS: list[type] = [Point, Named, Cached, Counter, Folded, Longer]


def standard(ours: Any) -> Any:
    """Return the same class as the standard library makes it."""
    fields = [
        (one.name, one.type, field(init=one.init, repr=one.repr, compare=one.compare, **_default(one)))
        for one in dataclasses.fields(ours)
    ]
    names = {name: vars(ours)[name] for name in ("__post_init__",) if name in vars(ours)}
    return dataclasses.make_dataclass(
        ours.__name__, fields, namespace=names, frozen=ours is not Counter, kw_only=ours in (Point, Counter)
    )


def _default(one: dataclasses.Field[Any]) -> dict[str, Any]:
    if one.default_factory is not dataclasses.MISSING:
        return {"default_factory": one.default_factory}
    return {} if one.default is dataclasses.MISSING else {"default": one.default}


CALLS: list[tuple[type, tuple[object, ...], dict[str, object]]] = [
    (Point, (), {"x": 1}),
    (Point, (), {"x": 1, "y": 5, "more": [7], "shown": "no"}),
    (Point, (), {}),
    (Point, (1,), {}),
    (Point, (), {"x": 1, "z": 1}),
    (Point, (), {"x": 1, "total": 1}),
    (Named, ("a",), {}),
    (Named, ("a", 3), {}),
    (Named, ("a", 3, 4), {}),
    (Named, (), {"name": "a", "count": 1}),
    (Named, ("a",), {"name": "b"}),
    (Cached, ("a",), {}),
    (Counter, (), {}),
    (Counter, (), {"count": 4}),
]


@pytest.fixture(params=[records._init_by_a_loop, records.compiled_init], ids=["loop", "compiled"])
def made_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[type], None]:
    """Return what lets objects of a class be made as its first ones are, or as all later ones."""
    return lambda cls: monkeypatch.setattr(cls, "__init__", request.param(cls))


@pytest.mark.parametrize(("ours", "values", "named"), CALLS)
def test_an_object_is_made_shown_and_refused_as_by_the_standard_library(
    ours: type, values: tuple[object, ...], named: dict[str, object], made_by: Callable[[type], None]
) -> None:
    made_by(ours)

    def outcome(cls: Callable[..., object]) -> str:
        try:
            made = cls(*values, **named)
        except TypeError as error:
            return str(error)
        return f"{made!r} {asdict(made)}"  # type: ignore[call-overload]  # of any class

    assert outcome(ours) == outcome(standard(ours))


def test_equality_and_hash_are_those_of_the_compared_fields_of_one_class() -> None:
    assert Point(x=1) == Point(x=1, more=[4])
    assert hash(Point(x=1)) == hash(Point(x=1, more=[4])) == hash((1, 2, ""))
    assert Point(x=1) != Point(x=1, shown="else")
    assert Named("a") != Longer(name="a")
    assert Named("a") != ("a", 0)
    assert Cached("a") == Cached("a")
    assert Cached("a") != Cached("b")
    assert len({Named("a"), Named("a", 0), Named("a", 1)}) == 2


def test_a_frozen_object_takes_no_assignment_and_a_changing_one_has_no_hash() -> None:
    point, counter = Point(x=1), Counter()
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        point.x = 2  # type: ignore[misc]  # a type checker refuses it as well
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del point.x
    with pytest.raises(FrozenInstanceError):
        point.other = 2  # type: ignore[attr-defined]  # as above
    counter.count += 1
    assert counter == Counter(count=1)
    with pytest.raises(TypeError, match="unhashable"):
        hash(counter)
    assert Cached("a").long == "aa"


def test_methods_that_a_class_has_of_its_own_stay() -> None:
    assert Folded("A") == Folded("a")
    assert repr(Folded("a")) == "folded"
    assert Folded("a") in {Folded("a")}


def test_objects_are_replaced_copied_and_pickled() -> None:
    assert replace(Point(x=1), y=9) == Point(x=1, y=9)
    assert replace(Point(x=1), y=9).total == 10
    for made in (Point(x=1, more=[1]), Named("a", 2), Cached("a"), Counter(count=3), Longer(name="a", far=True)):
        assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == copy.copy(made) == made
    assert pickle.loads(pickle.dumps(Point(x=1, more=[1]))).more == [1]


def test_a_default_factory_makes_a_value_for_each_object(made_by: Callable[[type], None]) -> None:
    made_by(Point)
    assert Point(x=1).more is not Point(x=1).more


def test_a_class_compiles_its_init_once_when_it_has_some_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []

    def run(text: str, names: dict[str, Any], made: dict[str, Any]) -> None:
        compiled.append(text)
        exec(text, names, made)

    def refused(text: str, *more: Any) -> None:
        assert text.count("def ") == 1, "the standard library compiled a method"
        assert text.startswith("def __create_fn__")  # of no functions: what Python 3.13 runs for each class
        exec(text, *more)

    monkeypatch.setitem(vars(records), "exec", run)
    monkeypatch.setitem(vars(dataclasses), "exec", refused)

    @records.dataclass(frozen=True, kw_only=True, slots=True)
    class Late:
        """A class."""

        one: int

    first = [Late(one=number) for number in range(records._SOME)]
    assert compiled == []
    assert [*first, Late(one=records._SOME)] == [Late(one=number) for number in range(records._SOME + 1)]
    assert len(compiled) == 1


def test_the_first_object_is_refused_in_the_words_of_the_compiled_init() -> None:
    @records.dataclass(frozen=True, slots=True)
    class Early:
        """A class."""

        one: int

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'one'"):
        Early()  # type: ignore[call-arg]  # a type checker refuses it as well
    assert Early(1) == Early(one=1)


@records.dataclass(frozen=True, kw_only=True, slots=True)
class Wide:
    """A record of so many fields that an object of it is opened while it is made."""

    a: int
    b: int
    c: int = 3
    d: list[int] = field(default_factory=list)
    _text: str = field(init=False, default="", repr=False, compare=False)


class Wider(Wide):
    """A class below a record."""

    __slots__ = ("more",)


@pytest.mark.parametrize("cls", [Wide, Wider])
def test_an_object_that_was_opened_to_be_made_is_closed(cls: type[Wide], made_by: Callable[[type], None]) -> None:
    made_by(Wide)
    made = cls(a=1, b=2, d=[4])
    assert type(made) is cls
    assert (made.a, made.b, made.c, made.d, made._text) == (1, 2, 3, [4], "")
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'a'"):
        made.a = 2  # type: ignore[misc]  # a type checker refuses it as well
    assert pickle.loads(pickle.dumps(made)) == copy.copy(made) == made
    with pytest.raises(TypeError):
        cls(b=2)  # type: ignore[call-arg]  # as above


def test_a_quick_object_is_the_one_that_the_class_makes() -> None:
    made = records.quick(Wide)(1, 2, 3, [4], "text")
    assert type(made) is Wide
    assert made == Wide(a=1, b=2, d=[4])
    assert repr(made) == repr(Wide(a=1, b=2, d=[4]))
    assert made._text == "text"
    assert replace(made, a=5)._text == ""
    with pytest.raises(FrozenInstanceError):
        made.b = 2  # type: ignore[misc]  # as above


@records.dataclass(frozen=True, kw_only=True, slots=True)
class Named4:
    """A record whose fields have the names of what its maker uses."""

    opened: int
    closed: int
    put: int
    absent: list[int] = field(default_factory=list)
    made: int = 5
    self_: int = 6


def test_no_name_of_a_field_is_in_the_way_of_its_maker() -> None:
    made = Named4(opened=1, closed=2, put=3)
    assert made == records.quick(Named4)(1, 2, 3, [], 5, 6)
    assert (made.opened, made.closed, made.put, made.absent, made.made) == (1, 2, 3, [], 5)
