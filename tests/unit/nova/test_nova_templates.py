"""`render`: what a star's template can do, and how it ends where it can not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cosmos import limits
from cosmos.nova import run
from cosmos.nova.outcome import Limits
from cosmos.nova.templates import rendered
from cosmos.nova.templating.filters import FILTERS
from cosmos.nova.templating.scan import TemplateProblem
from cosmos.treepath import TreePath

EVERY_FILTER = (Path(__file__).parent / "every_filter.j2").read_text()


def text(template: str, **variables: object) -> str:
    """What a template makes."""
    return rendered(template.encode(), json.dumps(variables).encode()).decode()


def problem(template: str, **variables: object) -> str:
    """What is wrong with a template, `LINE: TEXT`."""
    with pytest.raises(TemplateProblem) as caught:
        text(template, **variables)
    return f"{caught.value.line}: {caught.value.text}"


def test_render_fills_in_a_template_of_the_star(install, entry, lines):
    body = (
        r'render("m.in", "/etc/motd", {name = "a\"b\n", n = 3, on = true, list = {1, "x", {deep = "é"}}, empty = {}})'
    )
    template = b"{{ [name, n, on, list, empty]|tojson|replace(']', ')') }} & <{{ list[2].deep }}>\n"
    assert lines(install(body, files=[entry("m.in", content=template, mode=0o600)])) == [
        'file 0600 0:0 /etc/motd ["a\\"b\\n", 3, true, [1, "x", {"deep": "\\u00e9"}), {}) & <é>\n'
    ]


def test_every_filter_works_in_a_process_that_can_load_nothing_any_more(install, entry):
    for name in FILTERS:
        assert re.search(rf"\| ?{name}\b", EVERY_FILTER), name
    made = install('render("all", "/all", {a = 1})', files=[entry("all", content=EVERY_FILTER.encode())])
    assert bytes(made.entries[TreePath(b"all")].content).decode() == text(EVERY_FILTER, a=1)


def test_a_script_may_render_as_often_as_it_likes(install, entry):
    files = [entry("a", content=b"a{{ n }}"), entry("b", content=b"{% set n = 9 %}b{{ n }}")]
    body = 'for n = 1, 50 do render("a", "/a" .. n, {n = n}) render("b", "/b" .. n) end'
    made = {path.text: bytes(e.content).decode() for path, e in install(body, files=files).entries.items()}
    assert made == {f"a{n}": f"a{n}" for n in range(1, 51)} | {f"b{n}": "b9" for n in range(1, 51)}


def test_a_failing_template_is_named_with_its_line_and_the_scripts(failure, entry):
    broken = failure('render("m.in", "/x")', files=[entry("m.in", content=b"one\n{{ name }}\n")])
    assert str(broken) == "busybox: install.lua:1: render: files/m.in:2: does not render: 'name' is undefined"
    assert broken.exit_code == 6


def test_a_script_may_catch_what_is_wrong_with_a_template(install, entry):
    body = 'log(pcall(render, "bad", "/x")) render("good", "/y")'
    result = install(body, files=[entry("bad", content=b"{% if %}"), entry("good", content=b"good")])
    assert result.receipt.logs[0].startswith("false\tinstall.lua:1: render: files/bad:1: does not parse: ")
    assert bytes(result.entries[TreePath(b"y")].content) == b"good"
    assert TreePath(b"x") not in result.entries


@pytest.mark.parametrize(
    "variables", ['"x"', "{1.5}", "{f = print}", '{a = "\\xff"}', "{1, 2, x = 3}", "{[1.5] = 2}", "{1}", "{[true] = 1}"]
)
def test_variables_that_no_template_can_take_are_refused(failure, entry, variables):
    assert "render: " in str(failure(f'render("m", "/x", {variables})', files=[entry("m")]))


def test_a_table_of_variables_that_holds_itself_is_refused(failure, entry):
    assert "more than 8 deep" in str(failure('local t = {}; t.t = t; render("m", "/x", t)', files=[entry("m")]))


def test_a_finish_script_is_told_that_it_has_no_archive(failure, entry):
    for verb in ("render", "copy"):
        broken = failure(f'{verb}("m.in", "/x")', own=[entry("m.in")], free="any")
        assert str(broken) == (f"busybox: install.lua:1: {verb}: m.in does not exist: a finish script has no archive")
        assert "write() makes a file" in broken.hint


def test_a_template_that_is_too_large_is_refused(failure, entry):
    large = entry("m", content=b"x" * (limits.MAX_NOVA_TEMPLATE_BYTES + 1))
    assert "files/m has 1048577 bytes, the limit is 1048576" in str(failure('render("m", "/x")', files=[large]))
    assert "is a folder, not a file" in str(failure('render("d", "/x")', files=[entry("d", "dir")]))


def test_what_jinja_keeps_from_a_template_is_as_before():
    assert text("{{ a }} <&>\n\n", a="<'>") == "<'> <&>\n\n"
    assert problem("{{ lipsum() }}") == "1: does not render: 'lipsum' is undefined"
    assert problem("{{ [1, 2]|random }}") == "1: does not parse: no filter is called 'random'"
    assert "'a' is undefined" in problem("{{ a.b }}")


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__ }}", "{{ ''|attr('__class__') }}", "{{ '{0.__class__}'.format(1) }}",
        "{{ [1]|map(attribute='__class__')|join }}", "{{ self._TemplateReference__context }}", "{{ dict.mro() }}",
        "{{ {'f': '{0.__class__}'.format}.f(1) }}", "{{ ('{0.__class__}'|attr('format'))(1) }}",
        "{{ '{x.__class__}'.format_map({'x': 1}) }}", "{{ range._action }}", "{{ ''.join.__self__ }}",
        "{{ cycler.__init__.__globals__ }}", "{{ namespace.__init__ }}", "{{ [].append(1) }}", "{{ {}.update(a=1) }}",
        "{{ loop }}", "{% for x in [1] %}{{ loop._iterator }}{% endfor %}",
    ],
)  # fmt: skip
def test_a_template_reaches_nothing_of_python(template):
    assert re.match("1: does not (render|parse): ", problem(template))


@pytest.mark.parametrize(
    "statement", ['{% include "x" %}', '{% include ["x", "y"] ignore missing %}', '{% import "x" as y %}',
                  '{% from "x" import y %}', '{% extends "x" %}'],
)  # fmt: skip
def test_a_template_stands_alone(statement):
    assert "stands alone, without include, import and extends" in problem(statement)


def test_a_statement_that_is_not_there_is_named():
    assert problem("\n{% do x.append(1) %}") == "2: does not parse: Encountered unknown tag 'do'."


@pytest.mark.parametrize(
    "expression",
    [
        "'x'.upper", "'x'.upper()", "range", "[range]", "dict.fromkeys", "'x'.upper ~ ''", "'%s' % 'x'.upper",
        "['x'.upper]|join",
        "'x'.upper|string", "{'a': 'x'.upper}|pprint", "'{}'.format('x'.upper)", "'x'.upper|replace('a', 'b')",
        "joiner()", "cycler(1)", "[cycler(1)]", "self.body", "namespace(a='x'.upper)", "{}.get",
        "{'a': 1}.keys() - ['b']", "'{}'.format", "({'a': 1}.items() - [])|join", "(-8) ** 0.5", "'x'['upper']",
        "{}.keys().mapping", "loop.cycle", "[1]|groupby('imag')|map('attr', 'count')|first",
    ],
)  # fmt: skip
def test_nothing_that_differs_from_run_to_run_becomes_text(expression):
    assert re.match(
        "1: does not (render|parse): ", problem(f"{{% for i in [1] %}}{{{{ {expression} }}}}{{% endfor %}}")
    )


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ ['a', 'b']|map('upper') }}", "['A', 'B']"),  # Jinja2 itself writes a generator's address
        ("{{ [1, 2, 3]|batch(2) }}{{ [1, 2]|reverse }}", "[[1, 2], [3]][2, 1]"),
        ("{{ {'b': 1, 'a': 2}|items }}", "[['b', 1], ['a', 2]]"),
        ("{{ {'b': 1, 'a': 2}|sort|join }}", "ab"),
        ("{% set n = namespace(x=1) %}{% set n.x = n.x + 1 %}{{ n.x }}", "2"),
        ("{% macro m(a) %}{{ a }}{{ caller() }}{% endmacro %}{% call m(1) %}2{% endcall %}", "12"),
        ("{% for x in 'ab' %}{{ ['x', 'y'][loop.index0 % 2] }}{{ loop.index }}{% endfor %}", "x1y2"),
        ("{% filter upper %}x{% endfilter %}", "X"),
        ("{{ range(3) }}{{ range(1, 4)|sum }}{{ (1, 'a') }}", "[0, 1, 2]6[1, 'a']"),
        ("{{ 2 ** 10 }} {{ 'ab' * 2 }} {{ [1] * 2 }} {{ 7 - 2 }}", "1024 abab [1, 1] 5"),
        ("{{ [1, 2]|select('odd') }}{{ [1, 2]|first is odd }}", "[1]True"),
    ],
)  # fmt: skip
def test_what_an_honest_template_does_works(template, made):
    assert text(template) == made


@pytest.mark.parametrize(
    "template",
    [
        "{{ 10 ** 10000000 }}", "{{ 2 ** (2 ** (2 ** (2 ** 2))) }}", "{{ 'x' * 10000000 }}", "{{ 10000000 * [1] }}",
        "{% set n = namespace(x=9) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x }}",
        "{{ (10 ** 4500) }}", "{% for i in range(1000000) %}{% endfor %}", "{{ 'x' * 3000000 }}{{ 'x' * 3000000 }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{% if 1 %}" * 500 + "{% endif %}" * 500,
    ],
    ids=range(11),
)  # fmt: skip
def test_a_bomb_that_is_seen_beforehand_is_a_problem_of_the_template(template):
    assert problem(template)


def test_what_a_template_is_given_is_checked():
    for template, variables, why in [
        (b"\xff", b"{}", "it is not UTF-8 at byte 0"),
        (b"", b'{"a": "\xff"}', "vars hold text that is not UTF-8 at byte 7"),
        (b"", b"[1]", "vars must be a table with names for keys"),
        (b'{{ "\\ud800" }}', b"{}", "half of a surrogate pair is no character"),
    ]:
        with pytest.raises(TemplateProblem, match=why):
            rendered(template, variables)


ENDLESS = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
DOUBLING = "{% set n = namespace(x='x') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("template", "why"),
    [
        (ENDLESS, "takes more than 1000000 steps"),
        (DOUBLING, "takes more than 1000000 steps"),
        ("{{ 'x' * 10 ** 9 }}", "makes more than 4194304 bytes"),
    ],
    ids=["time", "memory", "text"],
)
def test_a_bomb_is_an_error_of_the_template_that_a_script_may_catch(install, entry, template, why):
    body = 'log(pcall(render, "bomb", "/x")) render("good", "/y")'
    result = install(body, files=[entry("bomb", content=template.encode()), entry("good")])
    assert result.receipt.logs == (f"false\tinstall.lua:1: render: files/bomb:1: does not render: it {why}",)
    assert [*result.entries] == [TreePath(b"y")]


@pytest.mark.slow
def test_a_script_cannot_catch_the_end_of_its_templates_budget(failure, entry, monkeypatch):
    monkeypatch.setattr(run, "LIMITS", Limits(cpu_seconds=1))
    broken = failure('for n = 1, 1000 do pcall(render, "m", "/x") end', files=[entry("m", content=ENDLESS.encode())])
    assert str(broken) == "busybox: install.lua: was stopped: it took more than 1 seconds, rendering files/m"
    assert broken.exit_code == 6


@pytest.mark.slow
def test_many_templates_share_one_budget(failure, entry, monkeypatch):
    monkeypatch.setattr(run, "LIMITS", Limits(cpu_seconds=1))
    slow = entry("m", content=b"{% for a in range(99999) %}{% endfor %}")
    broken = failure('for n = 1, 10000 do render("m", "/x") end', files=[slow])
    assert "was stopped: it took more than 1 seconds, rendering files/m" in str(broken)


@pytest.mark.slow
def test_what_a_failing_template_had_made_is_given_back(install, entry):
    fails = entry("m", content=b"{% set large = 'x' * 4000000 %}{{ large }}{{ nothing }}")
    body = 'for n = 1, 100 do pcall(render, "m", "/x") end render("good", "/y")'
    assert TreePath(b"y") in install(body, files=[fails, entry("good")]).entries


@pytest.mark.slow
def test_templates_and_script_share_the_time_that_is_waited_for_them(failure, entry, monkeypatch):
    monkeypatch.setattr(run, "LIMITS", Limits(cpu_seconds=3, wait_seconds=3))
    broken = failure('for n = 1, 1000 do pcall(render, "m", "/x") end', files=[entry("m", content=ENDLESS.encode())])
    assert "was stopped: it took more than 3 seconds, rendering files/m" in str(broken)
