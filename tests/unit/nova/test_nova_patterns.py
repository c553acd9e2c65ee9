"""Patterns give the answers of Lua's own matcher, on any pattern and text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lupa.lua54 import LuaRuntime

from cosmos.treepath import escaped
from fakes.examples import tried

# fmt: off
ATOMS = [
    "a", "b", "c", ".", "%a", "%d", "%s", "%w", "%W", "[ab]", "[^ab]", "[a-c]", "[%a_]", "[]]", "[^]]",
    "[a-]", "%b()", "%f[%a]", "%f[^a]", "()", "(a)", "(.-)", "(a*)", "(", "%1", "%2", ")", "%", "[", "$", "^",
    "*", "+", "-", "?", "a*", "a+", "a-", "a?", ".-", ".*", "b?", "%(", "%)", "%%", "\0", "[%", "[a", "%b",
    "%bx", "\xe9", "%z", "%g", "%p", "%x", "%c", "%u", "%l", "[a-%%]", "[%a-z]", "%f", "%f[",
]
# fmt: on
TEXTS = st.lists(
    st.sampled_from(["a", "b", "c", "ab", " ", "(", ")", "1", "_", "\0", "\xe9", "%", "^", "]"]), max_size=12
)
CASES = st.tuples(
    TEXTS.map("".join),
    st.lists(st.sampled_from(ATOMS), max_size=6).map("".join),
    st.sampled_from([1, 2, -1, -3, 0, 5, 20]),
    st.sampled_from(["", "x", "%0", "%1", "%2", "%%", "<%1>", "%", "%a"]),
)

PROBE = """
local function show(ok, ...)
  local values = table.pack(...)
  local out = {tostring(ok)}
  for place = 1, ok and values.n or 0 do out[#out + 1] = type(values[place]) .. ":" .. tostring(values[place]) end
  return table.concat(out, "|")
end
local function each(s, p, i)
  local out = {}
  for a, b in string.gmatch(s, p, i) do
    out[#out + 1] = tostring(a) .. "/" .. tostring(b)
    if #out > 50 then break end
  end
  return table.concat(out, ",")
end
local function count(...) return select("#", ...) > 1 and 7 or nil end
local function probe(s, p, i, r)
  emit(show(pcall(string.find, s, p, i)))
  emit(show(pcall(string.match, s, p, i)))
  emit(show(pcall(each, s, p, i)))
  emit(show(pcall(string.gsub, s, p, r)))
  emit(show(pcall(string.gsub, s, p, r, 2)))
  emit(show(pcall(string.gsub, s, p, {a = "T", b = 1, [2] = "at", c = false})))
  emit(show(pcall(string.gsub, s, p, count)))
end
"""


@pytest.mark.slow
@tried(same=25, new=100)
@given(cases=st.lists(CASES, min_size=20, max_size=40))
def test_patterns_answer_as_luas_own_matcher_does(cases):
    calls = "\n".join(f"probe({_quoted(text)}, {_quoted(p)}, {i}, {_quoted(r)})" for text, p, i, r in cases)
    assert _ours(calls) == _luas(calls)


def test_the_matcher_gives_up_on_the_same_depth_as_luas_own():
    deep = (
        'probe(("a"):rep(300), ("(a"):rep(20) .. (")"):rep(20), 1, "x") probe(("x"):rep(250), ("x?"):rep(250), 1, "y")'
    )
    assert _ours(deep) == _luas(deep)


def _ours(calls: str) -> list[str]:
    from cosmos.nova.job import NovaJob
    from cosmos.nova.run import run_install

    text = f"local function emit(text) log(text) end {PROBE} function install() {calls} end"
    result = run_install(NovaJob(star="s", script_name="s.lua", script=text.encode("latin-1"), files={}, epoch=0))
    return list(result.receipt.logs)


def _luas(calls: str) -> list[str]:
    told: list[bytes] = []
    lua = LuaRuntime(encoding=None)
    lua.globals()[b"emit"] = told.append
    lua.execute((PROBE + calls).encode("latin-1"))
    return ["\t".join(map(escaped, line.split(b"\t"))) for line in told]


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode("latin-1")) + '"'
