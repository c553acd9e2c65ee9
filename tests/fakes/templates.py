"""Hostile templates: made by hand, mutations of them, and templates grown by a grammar; the same for one seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from cosmos.nova.templating.conditions import TESTS
from cosmos.nova.templating.filters import FILTERS

NAMES = {
    "text": "Text äß'\"<&>\n\tend",
    "n": 7,
    "minus": -3,
    "yes": True,
    "none": None,
    "items": ["b", "a", "C", "ä", "Ä"],
    "numbers": [3, 1, 2, 10],
    "mapping": {"b": 1, "a": {"x": "y", "ß": [1, 2]}, "keys": "a key"},
    "rows": [{"name": "one", "on": True}, {"name": "Two", "on": False}, {"name": "two", "on": True}],
}

HOSTILE = (
    # what reaches objects of Python, their addresses and their order
    "{{ text.upper }}",
    "{{ text.upper() }}",
    "{{ [text.upper] }}",
    "{{ mapping.items }}",
    "{{ mapping.items() }}",
    "{{ mapping.keys() - ['a'] }}",
    "{% for key in mapping.keys() - ['a'] %}{{ key }}{% endfor %}",
    "{{ text.encode('utf-7') }}",
    "{{ text.encode('cp437') }}",
    "{{ text.encode('idna').decode('rot13') }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ mapping.__len__ }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '%s' % text }}",
    "{{ '%0999999999d' % 1 }}",
    "{{ '%s'|format(text) }}",
    "{{ '{:>999999999}'.format(1) }}",
    "{{ [1]|map(attribute='__class__')|list }}",
    "{{ range.__init__ }}",
    "{{ self }}",
    "{{ self.body }}",
    "{{ loop }}",
    "{{ cycler('a') }}",
    "{{ joiner() }}",
    "{{ namespace }}",
    "{{ namespace(a=1) }}",
    "{{ lipsum() }}",
    "{{ dict(a=1) }}",
    "{{ range(3) }}",
    "{{ [1, 2]|random }}",
    "{% set n = namespace(x=1) %}{% set n.x = n %}{{ n.x }}",
    "{% set n = namespace(x=1) %}{{ [n] }}",
    "{% macro m() %}x{% endmacro %}{{ m }}{{ m.name }}",
    "{% macro m() %}x{% endmacro %}{{ [m, m()] }}",
    "{% for i in [1] %}{{ loop }}{{ loop.cycle('a') }}{{ loop.changed(1) }}{% endfor %}",
    "{{ text|pprint }}",
    "{% for x in {'b', 'a'} %}{{ x }}{% endfor %}",
    "{{ items|groupby('x') }}",
    "{{ text|urlize }}",
    "{{ x.environment }}",
    # what is not there
    "{{ nothing }}",
    "{{ [nothing, 1] }}",
    "{{ {'a': nothing} }}",
    "{{ nothing ~ '' }}",
    "{{ [nothing]|length }}",
    "{{ mapping.nothing.more }}",
    "{{ items[9] }}",
    "{{ items|map(attribute='x')|join }}",
    "{{ 1 if false }}",
    "{{ [1 if false] }}",
    "{% set x = nothing %}",
    "{% macro m(a) %}{{ [a] }}{% endmacro %}{{ m() }}",
    "{{ []|first }}",
    "{{ nothing|default([nothing]) }}",
    "{{ nothing is defined }}",
    "{{ mapping.x|d('no') }}",
    # what has no end, or is huge
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(x) %}{{ m([x]) }}{% endmacro %}{{ m(1) }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(9) %}x{% endfor %}{% endfor %}"
    "{% endfor %}",
    "{% set n = namespace(x='x') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}{{ n.x|length }}",
    "{% set n = namespace(x=1) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}",
    "{% set n = namespace(x=1) %}{% for i in range(15) %}{% set n.x = [n.x] * 10 %}{% endfor %}{{ n.x|tojson }}",
    "{% set n = namespace(x=1, y=1) %}{% for i in range(15) %}{% set n.x = [n.x] * 9 %}{% set n.y = [n.y] * 9 %}"
    "{% endfor %}{{ n.x == n.y }}{{ n.x in [n.y] }}{{ [n.x, n.y]|sort }}",
    "{{ 'x' * 10 ** 9 }}",
    "{{ [0] * 10 ** 9 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ 2 ** 63 }}",
    "{{ 9 ** 9 ** 9 ** 9 }}",
    "{{ 1e308 * 10 }}",
    "{{ 2.5 ** 0.5 }}",
    "{{ 1 // 0 }}",
    "{{ 1 % 0 }}",
    "{{ 1e999 }}",
    "{{ -1 ** 0.5 }}",
    "{{ 'x'|center(999999999) }}",
    "{{ ('x\n' * 9999)|indent(999999) }}",
    "{{ text|replace('', 'x' * 999999) }}",
    "{{ [1]|slice(999999999) }}",
    "{{ [1]|batch(999999999, 0) }}",
    "{{ range(999999999) }}",
    "{{ range(9, 0, 0) }}",
    "{{ 1.5|round(99999) }}",
    "{{ 1|round(-99999) }}",
    "{{ mapping|tojson(99999) }}",
    "{{ 'x'|int(0, 1) }}",
    "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
    "{{ " + "[" * 30 + "]" * 30 + " }}",
    "{{ " + "not " * 999 + "1 }}",
    "{{ " + "-" * 999 + "1 }}",
    "{{ 1" + " + 1" * 999 + " }}",
    "{{ n" + ".a" * 999 + " }}",
    "{{ n" + "|d" * 999 + " }}",
    "{{ 1" + " if n else 1" * 999 + " }}",
    "{{ 1" + "9" * 9999 + " }}",
    "{{ 1" + " ** 1" * 999 + " }}",
    "{% if n %}" * 100 + "x" + "{% endif %}" * 100,
    "{% for a in [1] %}" * 21 + "x" + "{% endfor %}" * 21,
    "{% set x %}" * 99 + "{% endset %}" * 99,
    "{% if n %}" * 9999,
    "{% if n %}" + "{% elif n %}" * 999 + "{% endif %}",
    # files, statements and words that are not there
    "{% include 'a' %}",
    "{% include ['x', 'a'] ignore missing %}",
    "{% import 'a' as b %}",
    "{% from 'a' import b %}",
    "{% extends 'a' %}",
    "{% block a %}{% endblock %}",
    "{% autoescape true %}{{ text }}{% endautoescape %}",
    "{% do items.append(1) %}",
    "{% break %}",
    "{% trans %}{% endtrans %}",
    "{% debug %}",
    "{{ m(*items) }}",
    "{% for x in items recursive %}{{ loop(x) }}{% endfor %}",
    "{{ '\\N{BULLET}' }}",
    "{{ '\\ud800' }}",
    "{{ 'a' 'b' }}",
    "{% set é = 1 %}",
    "{{ ªb }}",
    "{% set n.x = 1 %}",
    "{% set a, b = items %}",
    "{% set true = 1 %}",
    "{{ 1__0 }}",
    "{{ '\\x' }}",
    "{{ '\\U99999999' }}",
    "{{ 0x }}",
    "{{ 1.e }}",
    "{{ a b }}",
    "{{",
    "{%",
    "{#",
    "{{ }}",
    "{% %}",
    "{{ text|nofilter }}",
    "{{ text is notest }}",
    "{{ items|map('nofilter') }}",
    "{{ items|select('notest') }}",
    "{{ text|upper(1, 2, 3) }}",
    "{{ text|replace }}",
    "{{ items|join(nothing=1) }}",
    "{{ items|map('map', 'upper') }}",
    # what works, and is the same everywhere
    "{{ items }}{{ mapping }}{{ [yes, none, 0.1, 1e16, 1e-5, -0.0, 1 / 3] }}",
    "{{ text|upper }}{{ text|lower }}{{ text|title }}",
    "{{ items|sort }}{{ items|unique }}{{ items|max }}{{ items|sort(case_sensitive=true) }}",
    "{{ numbers|sort(reverse=true) }}{{ numbers|min }}{{ numbers|sum }}",
    "{{ mapping|dictsort }}{{ mapping|items }}{{ mapping|list }}{{ mapping|tojson }}{{ mapping|tojson(2) }}",
    "{{ rows|map(attribute='name')|join(',') }}{{ rows|selectattr('on')|list }}{{ rows|sort(attribute='name') }}",
    "{{ rows|rejectattr('name', 'eq', 'Two')|map(attribute='name')|list }}",
    "{% for k, v in mapping|items if k != 'a' %}{{ loop.index }}/{{ loop.length }} {{ k }}={{ v }}{% endfor %}",
    "{% macro m(a, b='x') %}{{ a }}{{ b }}{{ caller() if caller is defined else '' }}{% endmacro %}"
    "{% call m(1) %}c{% endcall %}{{ m(2) }}",
    "{% set x %}a{{ n }}{% endset %}{{ x|center(9)|trim }}{% filter upper|replace('A', 'b') %}{{ x }}{% endfilter %}",
    "{% with a = 1, b = n %}{{ a + b }}{% endwith %}{{ -n ** 2 }}{{ 7 // -2 }}{{ -7 % 3 }}{{ 7.5 % 2 }}",
    "{{ text[1:4] }}{{ items[-1] }}{{ items[::-1] }}{{ text[::0] }}",
    "{{ 1 < 2 < 3 }}{{ 'a' in text }}{{ 1 in numbers }}",
    "{{ 2.675|round(2) }}{{ 1.5|round }}{{ '0x1f'|int(0, 16) }}{{ '1e3'|float }}{{ '٣'|int(5) }}{{ n|abs }}",
    "{{ items|batch(2, '-') }}{{ items|slice(3) }}{{ items|reverse|first }}",
    "{{ text|urlencode }}{{ {'a b': 'ß&'}|urlencode }}",
)

_PIECES = (
    "{{",
    "}}",
    "{%",
    "%}",
    "{%-",
    "-%}",
    "{#",
    "#}",
    "|",
    ".",
    ",",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "~",
    "+",
    "-",
    "*",
    "**",
    "/",
    "//",
    "%",
    "==",
    "<",
    "=",
    ":",
    "'",
    '"',
    "\\",
    "\n",
    " ",
    "0",
    "1",
    "-1",
    "99999999",
    "1e308",
    "0.1",
    "text",
    "n",
    "items",
    "mapping",
    "rows",
    "none",
    "true",
    "loop",
    "range(9)",
    "namespace()",
    "not",
    "and",
    "or",
    "in",
    "is",
    "if",
    "else",
    "for",
    "endfor",
    "endif",
    "set",
    "macro",
    "endmacro",
    "call",
    "filter",
    "with",
    "include",
    "x",
    "defined",
    "|upper",
    "|list",
    "|join",
    "|sort",
    "|map('upper')",
    "|d(1)",
    "|tojson",
    "|indent(9)",
    "|length",
    "é",
    "\ud800",
    "\0",
    "\u2028",
    "\r\n",
    "raw",
    "endraw",
    "caller()",
    "x.y",
    "[x, x]",
    "* 99999",
    "{{ n }}",
    "{% for i in range(999) %}",
    "{% endfor %}",
    "{% if n %}",
    "{% endif %}",
    "{% set x = [x, x] %}",
    "|batch(2)",
)


def mutated(seed: int, count: int) -> Iterator[str]:
    """Yield `count` mutations of the hostile templates, the same for one seed."""
    chance = random.Random(seed)
    short = [template for template in HOSTILE if len(template) < 500]
    for _ in range(count):
        template = chance.choice(short)
        for _ in range(chance.randint(1, 6)):
            at, end = sorted((chance.randrange(len(template) + 1), chance.randrange(len(template) + 1)))
            match chance.randrange(5):
                case 0:
                    template = template[:at] + chance.choice(_PIECES) + template[at:]
                case 1:
                    template = template[:at] + template[min(end, at + 9) :]
                case 2:
                    template = template[:end] + template[at:end] * chance.randint(1, 3) + template[end:]
                case 3:
                    other = chance.choice(short)
                    template = template[:at] + other + template[at:]
                case _:
                    template = template[:at] + chance.choice(_PIECES) + template[min(end, at + 3) :]
        yield template[:20_000]


class _Grown:
    """Grows templates that parse, most of which make no sense."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def _one(self, *choices: str) -> str:
        return self._chance.choice(choices)

    def template(self, depth: int = 2) -> str:
        """Return a template."""
        return "".join(self._statement(self._chance.randint(0, depth)) for _ in range(self._chance.randint(1, 2)))

    def _statement(self, depth: int) -> str:
        value = self._value(self._chance.choice((0, 0, 0, 1, 1, 2)))
        if depth == 0:
            return f"{{{{ {value} }}}}"
        inside = self.template(depth - 1)
        return self._one(
            f"{{{{ {value} }}}}",
            f"{{% if {value} %}}{inside}{{% else %}}{inside}{{% endif %}}",
            f"{{% for {self._one('x', 'x, n', 'text')} in {value} %}}{inside}{{% endfor %}}",
            f"{{% for x in {value} if {self._value(0)} %}}{inside}{{% else %}}{inside}{{% endfor %}}",
            f"{{% set {self._one('x', 'n', 'x, n')} = {value} %}}{inside}",
            f"{{% set x %}}{inside}{{% endset %}}{{{{ x }}}}",
            f"{{% set s = namespace(x={value}) %}}{inside}{{% set s.x = {self._value(0)} %}}{{{{ s.x }}}}",
            f"{{% macro m(x, n={value}) %}}{inside}{{% endmacro %}}{{{{ m({self._value(0)}) }}}}",
            f"{{% macro m(x) %}}{{{{ caller(x) }}}}{{% endmacro %}}{{% call(n) m({value}) %}}{inside}{{% endcall %}}",
            f"{{% filter {self._filter(0)} %}}{inside}{{% endfilter %}}",
            f"{{% with x = {value} %}}{inside}{{% endwith %}}",
        )

    def _value(self, depth: int) -> str:
        if depth == 0:
            numbers = ("0", "1", "-1", "3", "0.5", "1e308", "9223372036854775807", "'9'", "'0x1f'", "' -7.5e2 '")
            texts = ("''", "'a b'", "'name'", "'<a>\\n'", "'%s'", "'ä'", "none", "true", "[]", "{}", "()")
            return self._one(*NAMES, *NAMES, *NAMES, "x", "loop.index", "nothing", "range(3)", *numbers, *texts)
        one, other = self._value(depth - 1), self._value(depth - 1)
        sign = self._one("+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", ">=", " in ", " not in ", " and ")
        return self._one(
            f"{one} {sign} {other}",
            f"{one} {sign} {other}",
            f"{one}|{self._filter(depth - 1)}",
            f"{one}|{self._filter(depth - 1)}",
            f"{one}|{self._filter(depth - 1)}|{self._filter(0)}",
            f"({one} is {self._one(*(name for name in TESTS if name.isalpha()))}({self._arguments(depth - 1)}))",
            f"({one})[{other}]",
            f"({one})[{other}:{self._value(0)}]",
            f"({one}).{self._one('x', 'name', 'a', 'upper')}",
            f"[{one}, {other}]",
            f"{{'a': {one}, 'b': {other}}}",
            f"({one} if {other} else {self._value(0)})",
            f"-{one}",
            f"(not {one})",
        )

    def _filter(self, depth: int) -> str:
        return f"{self._one(*FILTERS)}({self._arguments(depth)})"

    def _arguments(self, depth: int) -> str:
        given = [self._value(depth) for _ in range(self._chance.choice((0, 0, 0, 0, 0, 1, 1, 2)))]
        if self._chance.random() < 0.3:
            given[:0] = [repr(self._one(*FILTERS, *TESTS, "name", "on"))]
        if self._chance.random() < 0.2:
            name = self._one("attribute", "default", "reverse", "case_sensitive", "width", "base", "indent", "count")
            given.append(f"{name}={self._value(0)}")
        return ", ".join(given)


def grown(seed: int, count: int) -> Iterator[str]:
    """Yield `count` templates that parse, the same for one seed."""
    growing = _Grown(seed)
    for _ in range(count):
        yield growing.template()[:20_000]
