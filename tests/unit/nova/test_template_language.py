"""The language of templates: as Jinja2 has it where both have it, and closed everywhere else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cosmos import limits
from cosmos.nova.templates import rendered, rendered_of_many
from cosmos.nova.templating import conditions, values
from cosmos.nova.templating.conditions import TESTS
from cosmos.nova.templating.filters import FILTERS, filtered
from cosmos.nova.templating.scan import TemplateProblem
from cosmos.nova.templating.values import Missing, Value, Work, text_of
from fakes.examples import tried

VALUES: dict[str, Value] = {
    "a": 1,
    "s": "Hello World",
    "l": [3, 1, 2],
    "w": ["b", "A", "c", "a"],
    "m": {"b": 2, "a": "x", "C": None},
    "rows": [
        {"n": "one", "k": 2, "d": {"e": 1}},
        {"n": "Two", "k": 1, "d": {"e": 0}},
        {"n": "three", "k": 2, "d": {"e": 5}},
    ],
    "t": True,
    "f": False,
    "z": "",
    "e": [],
}
LINES = (Path(__file__).parent / "as_jinja.j2").read_text().splitlines()
WHOLE = [
    "\n".join(LINES[:16]) + "\n",
    "a\n  {% if t %}\n  x\n  {% endif %}\nb\n{{ a }}\n\n{% for i in l %}\n{{ i }}\n{% endfor %}\r\nz",
]
BEGIN, END = "<!-- what templates have of Jinja2: make golden writes this table -->\n", "\n<!-- end of that table -->\n"


def as_star(template: str) -> str:
    """What a star's template makes, or what is wrong with it: `LINE: TEXT`."""
    try:
        return rendered(template.encode(), json.dumps(VALUES).encode()).decode()
    except TemplateProblem as problem:
        return f"{problem.line}: {problem.text}"


def as_rootfs(template: str, **files: str) -> str:
    """What a template of a rootfs makes, or what is wrong with it: `FILE:LINE: TEXT`."""
    try:
        return rendered_of_many("main", template, VALUES, {"main": template, **files}.get).data.decode()
    except TemplateProblem as problem:
        return f"{problem.name}:{problem.line}: {problem.text}"


def as_jinja(template: str, *, trims: bool) -> str:
    """What Jinja2 itself makes of it."""
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=trims, lstrip_blocks=trims
    )
    return environment.from_string(template).render(VALUES)


@pytest.mark.parametrize("template", [*LINES, *WHOLE], ids=range(len(LINES) + len(WHOLE)))
def test_a_template_makes_what_jinja_makes_of_it(template):
    assert as_star(template) == as_jinja(template, trims=False)
    assert as_rootfs(template) == as_jinja(template, trims=True)


def test_every_filter_and_test_is_compared_with_jinjas():
    whole = "\n".join(LINES)
    assert [name for name in FILTERS if f"|{name}" not in whole] == []
    assert [name for name in TESTS if f" is {name}" not in whole and f"'{name}'" not in whole] == []


def test_the_lists_of_filters_and_tests_are_what_the_page_says(repo):
    page = repo / "docs/nova.md"
    before, found, rest = page.read_text().partition(BEGIN)
    old, end, after = rest.partition(END)
    assert found and end
    new = f"""
| | there are |
|---|---|
| filters | `{" ".join(sorted(FILTERS))}` |
| tests | `{" ".join(sorted(name for name in TESTS if name.isalpha()))}`, and `{" ".join(sorted(n for n in TESTS if not n.isalpha()))}` for `select` and its like |
| calls | `range() namespace() caller()`, and the template's own macros |
| `loop.` | `index index0 revindex revindex0 first last length previtem nextitem` |
"""  # noqa: E501 - a row of a table is one line
    if os.environ.get("REWRITE_GOLDEN"):
        page.write_text(before + BEGIN + new + END + after)
        old = new
    assert old.splitlines() == new.splitlines(), "docs/nova.md: see the diff; make golden accepts it"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("a\n{{ s.upper }}", "2: does not render: text has no attribute 'upper'"),
        ("{{ s.upper() }}", "1: does not render: a template calls range(), namespace() and its own macros, and nothing "
         "else; write |upper"),
        ("{{ m.keys() - ['a'] }}", "1: does not render: a template calls range(), namespace() and its own macros, and "
         "nothing else"),
        ("\n\n{{ [nope, 1] }}", "3: does not render: 'nope' is undefined"),
        ("{{ {'a': m.nope} }}", "1: does not render: the mapping has no key 'nope'"),
        ("{{ 1 if f }}", "1: does not render: the condition is false, and there is no else"),
        ("{{ cycler }}", "1: does not render: 'cycler' is undefined"),
        ("{{ l|random }}", "1: does not parse: no filter is called 'random'"),
        ("{% if f %}{{ a is sameas a }}{% endif %}", "1: does not parse: no test is called 'sameas'"),
        ("{{ '%s' % a }}", "1: does not render: % makes no text of text: write its parts with ~ between them"),
        ("\n{% for x in l recursive %}{% endfor %}", "2: does not parse: a loop is not recursive here"),
        ("x\n{% autoescape true %}{% endautoescape %}", "2: does not parse: templates have no autoescape here"),
        ("{% block b %}{% endblock %}", "1: does not parse: templates have no block here"),
        ("{% macro m() %}{% endmacro %}\n{{ m }}", "2: does not render: m is a macro and has no text"),
        ("{% set n = namespace() %}{{ [n] }}", "1: does not render: a namespace has no text"),
        ("{% set n = namespace() %}\n{% set n.x = n %}", "2: does not render: a namespace has no text"),
        ("{% macro m() %}\n{{ m() }}{% endmacro %}{{ m() }}", "2: does not render: it is nested, or calls itself, too "
         "deeply"),
        ("{{ 2 ** 63 }}", "1: does not render: a whole number has more than 64 bits"),
        ("{{ 2 ** 0.5 }}", "1: does not render: ** wants whole numbers, and no negative one after it"),
        ("{{ 1e308 * 10 }}", "1: does not render: a number is infinite, or not a number"),
        ("{{ 1 / 0 }}", "1: does not render: it divides by zero"),
        ("{{ 'x' * 10 ** 9 }}", "1: does not render: it makes more than 4194304 bytes"),
        ("{{ '\\ud800' }}", "1: does not render: half of a surrogate pair is no character"),
        ("{{ '\\N{BULLET}' }}", "1: does not parse: a character has no \\N{name} here"),
        ("{% set é = 1 %}", "1: does not parse: a name has letters of ASCII, not é"),
        ("{{ a" + ".b" * 200 + " }}", "1: does not render: it is nested, or calls itself, too deeply"),
        ("{{ " + "(" * 21 + ")" * 21 + " }}", "1: does not parse: brackets are nested more than 20 deep"),
        ("{{ " + "not " * 51 + "a }}", "1: does not parse: it has more than 50 of else, not and signs"),
        ("{% for x in l %}\n" * 21 + "{% endfor %}" * 21, "21: does not parse: blocks are nested more than 20 deep"),
        ("{{ s|replace('H') }}", "1: does not render: replace: missing a required argument: 'new'"),
        ("{{ [1, 'a']|sort }}", "1: does not render: a whole number and text have no order"),
        ("{{ {1: 2} }}", "1: does not render: a whole number is no key of a mapping; a key is text"),
    ],
    ids=range(32),
)  # fmt: skip
def test_what_a_template_may_not_do_is_told_with_its_line(template, problem):
    assert as_star(template).startswith(problem)
    assert as_rootfs(template).startswith(f"main:{problem}")


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{{ l|select('nope')|list }}", "no test is called 'nope'"),
        ("{{ nope is divisibleby 2 }}", "'nope' is undefined"),
        ("{{ a is divisibleby 0 }}", "nothing is divisible by zero"),
        ("{{ s|center(m) }}", "a width is a whole number, not a mapping"),
        ("{{ l|batch(0) }}", "a batch is 1 or more, not 0"),
        ("{{ s|dictsort }}", "wants a mapping, not text"),
        ("{{ 1 in 2 }}", "a whole number cannot be in a whole number"),
        ("{{ l['a':] }}", "a slice goes from one whole number to another, not to text"),
        ("{{ l[:t] }}", "a slice goes from one whole number to another, not to a boolean"),
        ("{{ l[::0] }}", "slice step cannot be zero"),
        ("{{ s|replace('a', new='b', new='c') }}", "an argument is named twice"),
        ("{{ s * 1.5 }}", "text * a fraction is nothing"),
        ("{{ t * l }}", "a boolean * a list is nothing"),
        ("{{ namespace(1) }}", "namespace() takes a mapping, or names"),
        ("{{ namespace(m, m) }}", "namespace() takes a mapping, or names"),
        ("{{ range() }}", "range() takes one, two or three whole numbers"),
        ("{{ range(1, 2, 3, 4) }}", "range() takes one, two or three whole numbers"),
        ("{{ range(t) }}", "range() takes one, two or three whole numbers"),
        ("{{ range(1, 2, 0) }}", "range() arg 3 must not be zero"),
        ("{{ l|map('nope')|list }}", "no filter is called 'nope'"),
        ("{{ l|map }}", "map wants the name of a filter, or attribute="),
        ("{{ m|dictsort(by='x') }}", 'dictsort sorts by="key" or by="value"'),
        ("{{ 3|length }}", "a whole number has no length"),
        ("{{ [m]|unique|list }}", "unique compares text and numbers, not a mapping"),
        ("{% set x, y = l %}", "2 names cannot take 3 values"),
        ("{% for x, y in [[1]] %}{% endfor %}", "2 names cannot take 1 values"),
        ("{% macro q(x) %}{% endmacro %}{{ q(1, 2) }}", "q takes 1 values, not 2"),
        ("{% macro q(x) %}{% endmacro %}{{ q(y=2) }}", "q takes no y, or takes it once"),
        ("{% macro q(x) %}{% endmacro %}{{ q(1, x=2) }}", "q takes no x, or takes it once"),
        ("{{ [1]|urlencode }}", "urlencode wants text, a mapping, or a list of pairs"),
        ("{{ 1.5|round(1, 'x') }}", 'round has method="common", "ceil" or "floor"'),
    ],
)  # fmt: skip
def test_what_a_filter_a_test_or_a_call_cannot_take_is_told_with_its_line(template, problem):
    assert as_star(f"x\n{template}") == f"2: does not render: {problem}"
    assert as_rootfs(f"x\n{template}") == f"main:2: does not render: {problem}"


@pytest.mark.parametrize(
    ("template", "most", "problem"),
    [
        ("{{ NUMBER }}", (1 << 63) - 1, "a whole number has more than 64 bits"),
        ("{{ '1'|int(0, NUMBER) }}", 36, "a base is at most 36"),
        ("{{ 1.5|round(NUMBER) }}", 20, "a precision lies between -20 and 20"),
        ("{{ 1.5|round(-NUMBER) }}", 20, "a precision lies between -20 and 20"),
        ("{{ m|tojson(NUMBER) }}", 16, "an indent is at most 16"),
    ],
)
def test_a_number_in_a_template_is_so_large_and_no_larger(template, most, problem):
    assert "does not" not in as_star(template.replace("NUMBER", str(most)))
    assert as_star(template.replace("NUMBER", str(most + 1))) == f"1: does not render: {problem}"


@pytest.mark.parametrize("arguments", ["*l", "**m"])
def test_the_arguments_of_a_filter_are_written_out(arguments):
    problem = "2: does not parse: arguments are written out, without * and **"
    assert as_star(f"\n{{{{ s|default({arguments}) }}}}") == problem


@pytest.mark.parametrize("statement", ["{% import 'x' as y %}", "{% from 'x' import y %}", "{% include 'x' %}"])
def test_a_file_that_a_template_names_must_be_there(statement):
    assert as_rootfs(f"\n{statement}") == "main:2: does not render: no file below root/ is called x"


@pytest.mark.parametrize("statement", ["{% import 3 as y %}", "{% from 3 import y %}", "{% include [3] %}"])
def test_a_file_that_a_template_names_is_named_by_text(statement):
    problem = "main:2: does not render: a file is named by text, not by a whole number"
    assert as_rootfs(f"\n{statement}") == problem


def test_twenty_loops_in_each_other_are_no_problem():
    assert as_star("{% for x in [1] %}" * 20 + "x" + "{% endfor %}" * 20) == "x"


@pytest.mark.parametrize(
    ("fraction", "text"),
    [("0.1 + 0.2", "0.30000000000000004"), ("1 / 3", "0.3333333333333333"), ("4 / 2", "2.0"),
     ("1e15", "1000000000000000.0"), ("1e16", "1e+16"), ("0.0001", "0.0001"), ("0.00001", "1e-05"),
     ("-0.0", "-0.0"), ("5e-324", "5e-324"),
     ("1.7976931348623157e308", "1.7976931348623157e+308"), ("2.675|round(2)", "2.67"), ("100|float", "100.0")],
)  # fmt: skip
def test_a_fraction_has_the_fewest_digits_that_read_back_the_same(fraction, text):
    assert as_star(f"{{{{ {fraction} }}}}") == text
    assert as_star(f"{{{{ [{fraction}] }}}}") == f"[{text}]"


def test_letters_are_those_of_ascii_and_no_table_of_python_decides_anything():
    assert as_star("{{ 'aäßé'|upper }}{{ 'AÄ'|lower }}{{ 'äb cd'|title }}{{ 'Ä' is lower }}") == "AäßéaÄäb CdFalse"
    assert as_star("{{ '\\u00a0x '|trim }}|{{ '\\u0663'|int(5) }}") == "\u00a0x|5"
    shown = as_star(r"{{ ['\u200b', '\U0001fae8', '\x85', '\xad'] }}")
    assert shown == "['\u200b', '\U0001fae8', '\\x85', '\\xad']"


def test_the_keys_of_a_mapping_hide_no_method_and_no_method_hides_them():
    files = '{{ m.items }}{{ m["keys"] }}{% for k in m %}{{ k }}{% endfor %}'
    assert rendered(files.encode(), b'{"m": {"keys": 1, "items": 2}}') == b"21keysitems"


def test_a_template_of_a_rootfs_may_use_other_files():
    assert as_rootfs("{% include 'part' %}!", part="{% if t %}\n{{ a }}\n{% endif %}\n") == "1\n!"
    assert as_rootfs("{% for x in l %}{% include 'part' %}{% endfor %}", part="{{ x }}") == "312"
    assert as_rootfs("{% include ['no', 'part'] %}{% include 'no' ignore missing %}", part="p") == "p"
    library = "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}{% set n = 5 %}"
    assert as_rootfs("{% import 'lib' as lib %}{{ lib.twice(a) }}{{ lib.n }}", lib=library) == "115"
    assert as_rootfs("{% from 'lib' import twice as t2, n %}{{ t2(n) }}", lib=library) == "55"
    assert (
        as_rootfs("{% import 'lib' as lib with context %}{{ lib.m() }}", lib="{% macro m() %}{{ a }}{% endmacro %}")
        == "1"
    )


@pytest.mark.parametrize(
    ("template", "files", "problem"),
    [
        ("x\n{% include 'main' %}", {}, "main:2: does not render: main includes itself"),
        ("{% include 'b' %}", {"b": "\n{% include 'main' %}"}, "b:2: does not render: main includes itself"),
        ("{% include 'b' %}", {}, "main:1: does not render: no file below root/ is called b"),
        ("{% include '../template.toml' %}", {}, "main:1: does not render: no file below root/ is called .."),
        ("{% include 'b' %}", {"b": "ok\n{% if %}"}, "b:2: does not parse: Expected an expression"),
        ("{% include 'b' %}", {"b": "ok\n{{ nope }}"}, "b:2: does not render: 'nope' is undefined"),
        ("{% from 'b' import m %}\n{{ m() }}", {"b": "\n\n{% macro m() %}{{ a }}{% endmacro %}"},
         "b:3: does not render: 'a' is undefined"),
        ("{% from 'b' import m %}", {"b": ""}, "main:1: does not render: the imported file makes no 'm'"),
        ("{% import 'b' as m %}{{ m }}", {"b": ""}, "main:1: does not render: a namespace has no text"),
        ("{% import 'b' as m %}{% set m.x = 1 %}", {"b": ""}, "main:1: does not render: m is not what"),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_fault_of_another_file_is_told_with_that_file_and_its_line(template, files, problem):
    assert as_rootfs(template, **files).startswith(problem)


def test_files_that_include_each_other_without_end_are_refused():
    chain = {f"f{n}": f"{{% include 'f{n + 1}' %}}" for n in range(40)}
    assert as_rootfs("{% include 'f0' %}", **chain) == (
        "f19:1: does not render: files include each other more than 20 deep"
    )


def test_a_template_ends_after_a_number_of_steps_and_not_after_a_time(monkeypatch):
    endless = "{% for a in range(9999) %}\n{% for b in range(9999) %}{% endfor %}{% endfor %}"
    assert as_star(endless) == f"2: does not render: it takes more than {limits.MAX_TEMPLATE_WORK} steps"
    monkeypatch.setattr(values, "MAX_TEMPLATE_WORK", 1000)
    assert as_star("{{ range(900)|length }}") == "900"
    assert as_star("{{ range(1000)|length }}") == "1: does not render: it takes more than 1000 steps"
    assert as_star("{{ 'x' * 9000 }}") == "1: does not render: it takes more than 1000 steps"


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 30) | st.floats(allow_nan=False,
    allow_infinity=False) | st.text(max_size=9) | st.sampled_from(["a", "b.c", "0", "upper", "odd", "key", "ceil"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=9,
)  # fmt: skip
NAMED = st.dictionaries(st.sampled_from(["attribute", "default", "reverse", "base", "width", "by", "boolean"]), PLAIN)


@tried(same=100, new=500)
@given(
    name=st.sampled_from([*FILTERS, *(f"is {name}" for name in TESTS)]),
    value=PLAIN,
    given=st.lists(PLAIN, max_size=3),
    named=NAMED,
)
def test_whatever_a_filter_is_given_it_gives_a_value_or_a_fault(name, value, given, named):
    before = json.dumps(value)
    try:
        if name.startswith("is "):
            assert conditions.tested(name[3:], value, Work(), given, named) in (True, False)
        else:
            made = filtered(name, value, Work(), given, named)
            assert isinstance(made, Missing) or json.loads(json.dumps(made)) == made
            assert isinstance(made, Missing) or text_of(made, Work()) is not None
    except (ValueError, TypeError, ArithmeticError, LookupError) as fault:
        assert str(fault)
    assert json.dumps(value) == before


def test_a_template_has_so_many_words_and_no_more():
    assert as_star("{{a}}" * 33_334) == "1: does not parse: it has more than 100000 words"
    assert as_star("x" * (limits.MAX_NOVA_TEMPLATE_BYTES + 1)) == "0: has more than 1048576 bytes"
