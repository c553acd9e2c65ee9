"""`dataclass`: as `dataclasses.dataclass`, but a class costs next to nothing until it has several objects.

The standard one writes and compiles six methods for each class, at import: a millisecond for each of the 230 classes
that a build imports. Most of them get few objects or none. Here `__init__` alone is compiled, once a class has some
objects: a loop makes the first ones. The other methods need no code of their own.

The options are `frozen`, `kw_only` and `slots`, and mean the same. `field`, `fields`, `replace` and `asdict` of
`dataclasses` work on these classes. To a type checker both decorators are one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

T = TypeVar("T")

_ABSENT: Final = object()  # the value of an argument that was left out, and that a factory makes
_SOME: Final = 8  # objects of one class: to compile its `__init__` takes longer than the loop does for fifty
_FEW: Final = 3  # fields: to set them one by one takes no longer than to open an object


def _record(*, frozen: bool = False, kw_only: bool = False, slots: bool = False) -> Callable[[type], type]:
    """Return what makes a class a dataclass with these options."""

    def made_of(plain: type) -> type:
        own = vars(plain)
        plain.__doc__ = plain.__doc__ or plain.__name__  # else the standard one reads the signature, for a millisecond
        cls: Any = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only, slots=slots)(plain)
        methods: dict[str, Any] = {"__init__": _init_by_a_loop(cls), "__repr__": _repr, **_equality_of(cls)}
        if frozen:
            methods |= {"__setattr__": _refuse_assignment, "__delattr__": _refuse_deletion}
            if slots:
                methods |= {"__getstate__": _state, "__setstate__": _take_state}  # pickle would assign
        else:
            methods["__hash__"] = None  # what is equal today need not be so tomorrow
        for name, method in methods.items():
            if own.get(name) is None:
                setattr(cls, name, method)
        made: type = cls
        return made

    return made_of


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _record


def _init_by_a_loop(cls: Any) -> Callable[..., None]:
    """Return the `__init__` of the first objects of `cls`, which makes way for a compiled one."""
    objects = 0

    def init(self: Any, *values: Any, **named: Any) -> None:
        nonlocal objects
        objects += 1
        if objects > _SOME or not _fill(self, fields(cls), values, named):  # the compiled one words what is wrong
            cls.__init__ = compiled_init(cls)
            cls.__init__(self, *values, **named)
        elif hasattr(cls, "__post_init__"):
            self.__post_init__()

    return init


def _fill(made: Any, wanted: Iterable[Field[Any]], values: Iterable[Any], named: Mapping[str, Any]) -> bool:
    """Give `made` the `wanted` fields; return False if `__init__` does not take these arguments."""
    by_place, by_name = list(values)[::-1], dict(named)
    for one in wanted:
        if one.init and by_place and not one.kw_only:
            value = by_place.pop()
        elif one.init and one.name in by_name:
            value = by_name.pop(one.name)
        elif one.default_factory is not MISSING:
            value = one.default_factory()
        elif one.default is not MISSING:
            value = one.default
        elif one.init:
            return False
        else:
            continue  # `__post_init__` sets it
        object.__setattr__(made, one.name, value)
    return not by_place and not by_name


def compiled_init(cls: Any) -> Any:
    """Return `__init__` of a class, compiled: a loop over the fields would take three times as long for each object.

    `object.__setattr__` takes a while to find that it may set a field of a class that refuses assignments. So an object
    of many fields first becomes one of a class that has the same slots and refuses nothing. That halves the time.
    """
    names: dict[str, Any] = {"__put__": object.__setattr__, "__absent__": _ABSENT}  # no field has such a name
    for one in fields(cls):
        if one.default_factory is not MISSING:
            names[f"make_{one.name}"] = one.default_factory
        elif one.default is not MISSING:
            names[f"default_{one.name}"] = one.default
    given = [_argument(one) for one in fields(cls) if one.init and not one.kw_only]
    named = [_argument(one) for one in fields(cls) if one.init and one.kw_only]
    values = [(one.name, value) for one in fields(cls) if (value := _value(one))]
    lines = [f"__put__(self, {name!r}, {value})" for name, value in values]
    if len(values) > _FEW and cls.__bases__ == (object,) and "__slots__" in vars(cls):
        names |= {"__closed__": cls, "__opened__": _opened(cls)}
        assigned = "; ".join(f"self.{name} = {value}" for name, value in values)
        lines = [
            "if self.__class__ is __closed__:",
            f"  __put__(self, '__class__', __opened__); {assigned}; self.__class__ = __closed__",
            "else:",
            *(f"  {line}" for line in lines),
        ]
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    head = ", ".join(["self", *given, *(["*"] if named else []), *named])
    made: dict[str, Any] = {}
    text = f"def __init__({head}):\n " + "\n ".join(lines or ["pass"])
    exec(text, names, made)  # noqa: S102 - its words are names of fields
    init = made["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _opened(cls: Any) -> type:
    return type(cls.__name__, (), {"__slots__": cls.__slots__})


def quick(cls: type[T]) -> Callable[..., T]:
    """Return a function that makes an object of a frozen class with slots, in a third of the time.

    It takes the values of all fields by their place, also of those that `__init__` does not take, and does nothing
    else: it is for readers that make one object for each line of a large document.
    """
    names = [one.name for one in fields(cls)]  # type: ignore[arg-type]  # a record is a dataclass
    body = "; ".join(f"__made__.{name} = {name}" for name in names)
    made: dict[str, Any] = {}
    text = f"__made__ = __opened__(); {body}; __made__.__class__ = __closed__; return __made__"
    known = {"__opened__": _opened(cls), "__closed__": cls}
    exec(f"def make({', '.join(names)}):\n {text}", known, made)  # noqa: S102 - as above
    make: Callable[..., T] = made["make"]
    return make


def _argument(one: Field[Any]) -> str:
    if one.default_factory is not MISSING:
        return f"{one.name}=__absent__"
    return one.name if one.default is MISSING else f"{one.name}=default_{one.name}"


def _value(one: Field[Any]) -> str:
    """Return what a field gets as code; "" for one that `__post_init__` sets."""
    if one.default_factory is not MISSING:
        return f"make_{one.name}() if {one.name} is __absent__ else {one.name}" if one.init else f"make_{one.name}()"
    if one.init:
        return one.name
    return "" if one.default is MISSING else f"default_{one.name}"


def _equality_of(cls: Any) -> dict[str, Any]:
    compared = _values_of([one.name for one in fields(cls) if one.compare])
    hashed = _values_of([one.name for one in fields(cls) if (one.compare if one.hash is None else one.hash)])

    def is_equal(self: Any, other: object) -> bool:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    return {"__eq__": is_equal, "__hash__": lambda self: hash(hashed(self))}


def _values_of(names: list[str]) -> Callable[[Any], Any]:
    """Return what takes the fields `names` out of an object, as a tuple; one field alone as it is."""
    return attrgetter(*names) if names else lambda _object: ()


def _repr(self: Any) -> str:
    shown = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{type(self).__qualname__}({shown})"


def _state(self: Any) -> list[Any]:
    return [getattr(self, one.name) for one in fields(self)]


def _take_state(self: Any, state: list[Any]) -> None:
    for one, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)


def _refuse_assignment(_self: Any, name: str, _value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(_self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
