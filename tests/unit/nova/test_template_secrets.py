"""A secret variable in a template: it is written whole, and whatever else is done with it is refused by its name."""

from __future__ import annotations

import html
import json
import pickle
from urllib.parse import unquote

import pytest

from cosmos.nova.templates import RenderedFile, rendered_of_many
from cosmos.nova.templating.conditions import TESTS
from cosmos.nova.templating.filters import FILTERS
from cosmos.nova.templating.scan import TemplateProblem
from cosmos.nova.templating.secret import KEEPING_FILTERS, Secret, joined
from cosmos.nova.templating.values import Value

VALUE = "S3cr&t <Wörd>\nline 'two'"
OTHER = "another secret"


def rendered(template: str, **files: str) -> RenderedFile:
    values: dict[str, Value] = {
        "psk": Secret(VALUE, ["psk"]),
        "pin": Secret(OTHER, ["pin"]),
        "plain": "plain",
        "m": {"a": 1},
    }
    return rendered_of_many("main", template, values, {"main": template, **files}.get)


def problem(template: str, **files: str) -> str:
    with pytest.raises(TemplateProblem) as caught:
        rendered(template, **files)
    assert VALUE not in repr(caught.value) and "S3cr" not in caught.value.text
    return f"{caught.value.name}:{caught.value.line}: {caught.value.text}"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("a {{ psk }} b", f"a {VALUE} b"),
        ("{{ 'psk=' ~ psk ~ 1 }}", f"psk={VALUE}1"),
        ("{{ 'psk=' + psk }}", f"psk={VALUE}"),
        ("{{ psk + pin }}", VALUE + OTHER),
        ("{{ psk if plain == 'plain' else 'no' }}", VALUE),
        ("{{ plain and psk }}", VALUE),
        ("{{ nothing|default(psk) }}", VALUE),
        ("{{ psk|default('x') }}", VALUE),
        ("{{ 'yes' if psk is defined else 'no' }}{{ psk|string }}", f"yes{VALUE}"),
        ("{% set x = psk %}{{ x }}", VALUE),
        ("{% set x %}<{{ psk }}>{% endset %}{{ x }}{{ x ~ '!' }}", f"<{VALUE}><{VALUE}>!"),
        ("{% with x = psk %}{{ x }}{% endwith %}", VALUE),
        ("{% for x in [psk, 'b'] %}{{ x }},{% endfor %}", f"{VALUE},b,"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(psk) }}", f"<{VALUE}>"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(psk) ~ m(x=psk) }}", f"<{VALUE}><{VALUE}>"),
        ("{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}{{ psk }}{% endcall %}", f"({VALUE})"),
        ("{{ {'k': psk}.k }}{{ ['a', psk][1] }}{{ [psk]|first }}", VALUE * 3),
        ("{% set n = namespace(x=psk) %}{{ n.x }}", VALUE),
        ("{% include 'other' %}", f"other {VALUE}"),
        ("{% import 'macros' as m with context %}{{ m.show() }}", VALUE),
        ("{{ [psk, 'b']|reverse|last }}", VALUE),
    ],
)
def test_a_secret_is_written_whole_and_its_file_says_so(template: str, text: str) -> None:
    files = {"other": "other {{ psk }}", "macros": "{% macro show() %}{{ psk }}{% endmacro %}"}
    made = rendered(template, **files)
    assert made.data.decode() == text
    assert "psk" in made.secrets


def test_a_file_says_of_each_secret_where_it_is_written_first() -> None:
    made = rendered("a\n{{ psk }}{{ psk }}\n{% include 'o' %}\n{{ pin }}", o="\n\n{{ pin }}")
    assert made.secrets == {"pin": "o:3", "psk": "main:2"}


def test_a_template_that_reaches_no_secret_holds_none() -> None:
    assert rendered("{{ plain }}{% if false %}{{ psk }}{% endif %}{% set x = psk %}").secrets == {}
    dropped = rendered("{% import 'o' as o with context %}x", o="{{ psk }}")
    assert (dropped.data, dropped.secrets) == (b"x", {})


@pytest.mark.parametrize(
    ("template", "back"),
    [
        ("{{ psk|e }}", html.unescape),
        ("{{ psk|escape }}", html.unescape),
        ("{{ psk|tojson }}", json.loads),
        ("{{ psk|urlencode }}", unquote),
        ("{{ psk|string }}", str),
        ("{{ psk|indent(2) }}", lambda text: text.replace("\n  ", "\n")),
        ("{% filter indent(2) %}{{ psk }}{% endfilter %}", lambda text: text.replace("\n  ", "\n")),
        ("{{ psk|tojson|urlencode }}", lambda text: json.loads(unquote(text))),
    ],
)
def test_the_filters_that_a_secret_may_go_through_keep_every_letter_and_the_secret(template: str, back: object) -> None:
    made = rendered(template)
    assert back(made.data.decode()) == VALUE
    assert made.secrets == {"psk": "main:1"}


@pytest.mark.parametrize(
    "expression",
    [
        "psk == 'x'", "'x' == psk", "psk != pin", "psk < pin", "psk in ['x']", "'S' in psk", "psk in 'x'", "psk == psk",
        "[psk] == ['x']", "{'a': psk} == {'a': 'x'}", "[psk, 'a']|sort", "[psk, 'a']|unique", "[psk, pin]|max",
        "'x' if psk else 'y'", "not psk", "psk and 'x'", "psk or 'x'", "psk|default('x', true)", "[psk]|select|list",
        "psk[1:]", "psk|length", "psk|first", "psk|list", "psk|reverse", "psk * 2", "psk % 2", "'%s' ~ psk * 1",
        "range(psk)", "-psk", "psk|int", "psk|replace('a', 'b')", "'abc'|replace('b', psk)", "'abc'|center(psk)",
        "psk|join(',')", "[psk]|join(',')", "['a', 'b']|join(psk)", "[psk]|tojson", "{'a': psk}|tojson", "[psk] ~ ''",
        "{'a': psk} ~ ''", "{'a': psk}|urlencode", "[psk]|string", "[psk]|map('upper')|first", "[psk]|sum", "{psk: 1}",
        "m[psk]", "['a', 'b'][psk]", "[psk]|select('equalto', 'x')|list", "['x']|select('equalto', psk)|list",
        "psk is string", "psk is lower", "'x' is eq(psk)", "psk|indent(psk)", "['b', 'a']|batch(3, psk)",
        "(psk ~ 'x')|upper", "('x' + psk)|length", "namespace(psk)", "psk is in ['x']", "psk|map('upper')",
        "[[psk, 1]]|map(attribute=psk)", "'x'|indent(psk)", "psk|title",
        "{'a': psk}|dictsort(by='value')|first", "{'a': psk, 'b': psk}|dictsort(by='value')",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_the_line_and_the_variable(expression: str) -> None:
    said = problem("\n{{ " + expression + " }}")
    assert said.startswith("main:2: does not render: ")
    assert "the secret psk" in said or "the secrets pin and psk" in said, said


@pytest.mark.parametrize(
    "template",
    [
        "{% if psk == 'x' %}a{% endif %}",
        "{% if psk %}a{% endif %}",
        "{% if plain == 'no' %}{% elif psk %}a{% endif %}",
        "{% for letter in psk %}{{ letter }}{% endfor %}",
        "{% for x in ['a'] if x in psk %}{{ x }}{% endfor %}",
        "{% filter upper %}{{ psk }}{% endfilter %}",
        "{% set x %}{{ psk }}{% endset %}{{ x|upper }}",
        "{% set x | upper %}{{ psk }}{% endset %}{{ x }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(psk)|upper }}",
        "{% macro m(x) %}{{ x }}{% endmacro %}{% if m(psk) == 'x' %}a{% endif %}",
        "{% set n = namespace(x='') %}{% set n.x = n.x ~ psk %}{{ n.x[:1] }}",
        "{% include psk %}",
        "{% include [psk] %}",
        "{% import psk as m %}",
        "{% set a, b = psk %}{{ a }}",
        "{% import 'o' as o with context %}{{ o.x|length }}",
    ],
)
def test_what_was_made_of_a_secret_stays_one_through_statements(template: str) -> None:
    said = problem(template, o="{% set x = psk ~ '' %}")
    assert said.startswith("main:1: ") and "the secret psk" in said, said


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_every_filter_either_keeps_a_secret_or_refuses_it(name: str) -> None:
    """A filter that is added later is refused by itself."""
    if name in KEEPING_FILTERS | {"default", "d"}:
        assert rendered("{{ psk|" + name + " }}").secrets == {"psk": "main:1"}
        return
    with pytest.raises(TemplateProblem):
        made = rendered("{{ psk|" + name + " }}")
        pytest.fail(f"{name} let it through: {made}")


@pytest.mark.parametrize("name", sorted(set(TESTS) - {"defined", "undefined"}))
def test_every_test_but_two_refuses_a_secret(name: str) -> None:
    for template in ("{{ [psk]|select('" + name + "')|list }}", "{{ [psk]|select('" + name + "', 'x')|list }}"):
        assert "the secret psk" in problem(template)


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(VALUE, ["psk"])
    assert [repr(secret), str(secret), f"{secret}"] == ["<the secret psk>"] * 3
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
    assert joined(["a", "b"]) == "ab"
    whole = joined(["a", secret])
    assert isinstance(whole, Secret) and whole.revealed() == f"a{VALUE}"
