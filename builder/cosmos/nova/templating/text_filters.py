"""The filters of text and of numbers. Each takes the template's work, the value before it, and its own arguments."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from cosmos.nova.templating.elements import Filter, count_of, lowered, made, number_of, uppered, words_of
from cosmos.nova.templating.values import Value, Work, number, text_of

_SPACE: Final = " \t\n\r\v\f"
_WORD_BREAKS: Final = re.compile(r"([-\s({\[<]+)", re.ASCII)
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_BASED: Final = re.compile(r"[+-]?(0[xX]|0[oO]|0[bB])?[0-9a-zA-Z]{1,64}", re.ASCII)
_FRACTION: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", re.ASCII)
_UNRESERVED: Final = frozenset((string.ascii_letters + string.digits + "_.-~").encode())
_HTML: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;"})
_MAX_DIGITS: Final = 20  # of round(): a fraction has 17


def _capitalize(work: Work, value: Value) -> Value:
    text = text_of(value, work)
    return made(work, uppered(text[:1]) + lowered(text[1:]))


def _center(work: Work, value: Value, width: Value = 80) -> Value:
    text, wide = text_of(value, work), count_of(width, "a width")
    work.make(max(wide, len(text)))
    return text.center(wide)


def _escape(work: Work, value: Value) -> Value:
    text = text_of(value, work)
    work.make(len(text) + 4 * sum(map(text.count, "&<>'\"")))
    return text.translate(_HTML)


def _float(_work: Work, value: Value, default: Value = 0.0) -> Value:
    if isinstance(value, (int, float)):
        return number(float(value))
    if isinstance(value, str) and len(value) <= 400 and _FRACTION.fullmatch(value.strip(_SPACE)):
        return number(float(value.strip(_SPACE)))
    return default


def _indent(work: Work, value: Value, width: Value = 4, first: Value = False, blank: Value = False) -> Value:
    text = text_of(value, work)
    before = width if isinstance(width, str) else None
    size = len(before) if before is not None else count_of(width, "a width")
    work.make(len(text) + size * (text.count("\n") + 1))
    before = before if before is not None else " " * size
    start, *lines = text.split("\n")
    rest = [before + line if line or blank else line for line in lines]
    return "\n".join([before + start if first else start, *rest])


def _int(_work: Work, value: Value, default: Value = 0, base: Value = 10) -> Value:
    radix = count_of(base, "a base", 2)
    if radix > 36:
        raise ValueError("a base is at most 36")
    if isinstance(value, (int, float)):
        return number(int(value))
    text = value.strip(_SPACE) if isinstance(value, str) and len(value) <= 400 else ""
    if radix == 10 and _INTEGER.fullmatch(text):
        return number(int(text))
    if radix != 10 and _BASED.fullmatch(text):
        try:
            return number(int(text, radix))
        except ValueError:
            return default
    return number(int(number(float(text)))) if _FRACTION.fullmatch(text) else default


def _lower(work: Work, value: Value) -> Value:
    return made(work, lowered(text_of(value, work)))


def _replace(work: Work, value: Value, old: Value, new: Value, count: Value = None) -> Value:
    text, before, after = text_of(value, work), text_of(old, work), text_of(new, work)
    times = -1 if count is None else count_of(count, "a count")
    found = text.count(before) if times < 0 else min(times, text.count(before))
    work.make(len(text) + found * max(len(after) - len(before), 0))
    return text.replace(before, after, times)


def _string(work: Work, value: Value) -> Value:
    return text_of(value, work)


def _title(work: Work, value: Value) -> Value:
    words = _WORD_BREAKS.split(text_of(value, work))
    return made(work, "".join(uppered(word[:1]) + lowered(word[1:]) for word in words))


def _trim(work: Work, value: Value, chars: Value = None) -> Value:
    return made(work, text_of(value, work).strip(_SPACE if chars is None else words_of(chars)))


def _upper(work: Work, value: Value) -> Value:
    return made(work, uppered(text_of(value, work)))


def _urlencode(work: Work, value: Value) -> Value:
    if not isinstance(value, (list, dict)):
        return _percent(text_of(value, work), b"/", work)
    pairs: list[Value] = [[key, one] for key, one in value.items()] if isinstance(value, dict) else value
    pieces = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise TypeError("urlencode wants text, a mapping, or a list of pairs")
        pieces.append("=".join(_percent(text_of(one, work), b"", work).replace("%20", "+") for one in pair))
    return made(work, "&".join(pieces))


def _percent(text: str, safe: bytes, work: Work) -> str:
    data = text.encode()
    work.make(3 * len(data))
    return "".join(chr(byte) if byte in _UNRESERVED or byte in safe else f"%{byte:02X}" for byte in data)


def _abs(_work: Work, value: Value) -> Value:
    return number(abs(number_of(value)))


def _round(_work: Work, value: Value, precision: Value = 0, method: Value = "common") -> Value:
    if method not in ("common", "ceil", "floor"):
        raise ValueError('round has method="common", "ceil" or "floor"')
    given = number_of(value)
    if not isinstance(precision, int) or not -_MAX_DIGITS <= precision <= _MAX_DIGITS:
        raise ValueError(f"a precision lies between -{_MAX_DIGITS} and {_MAX_DIGITS}")
    if method == "common":
        return number(round(given, precision))
    scaled = number(given * 10**precision)
    whole = int(scaled)  # towards zero
    if method == "ceil":
        whole += whole < scaled
    else:
        whole -= whole > scaled
    return number(whole / 10**precision)


TEXT_FILTERS: Final[Mapping[str, Filter]] = MappingProxyType(
    {
        "abs": _abs, "capitalize": _capitalize, "center": _center, "e": _escape, "escape": _escape, "float": _float,
        "indent": _indent, "int": _int, "lower": _lower, "replace": _replace, "round": _round, "string": _string,
        "title": _title, "trim": _trim, "upper": _upper, "urlencode": _urlencode,
    }
)  # fmt: skip
