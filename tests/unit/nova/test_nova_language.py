"""The language that is left: what works as in Lua 5.4, what has a fixed order, what is gone, and how errors read."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from lupa.lua54 import LuaRuntime

from cosmos.errors import ScriptFailed
from cosmos.nova import run
from cosmos.sandbox.conversation import Patience
from fakes.waiting import LONG_SECONDS


def test_pairs_goes_through_numbers_then_strings_in_order(install):
    body = """
      local t = {30, 20, 10}
      for _, name in ipairs{"zeta", "b", "alpha", "10", "9"} do t[name] = true end
      t[-1], t[0], t[2.5] = "m", "z", "f"
      local keys = {}
      for key in pairs(t) do keys[#keys + 1] = tostring(key) end
      log(table.concat(keys, " "))
      keys = {}
      local key = next(t)
      while key ~= nil do keys[#keys + 1] = tostring(key); key = next(t, key) end
      log(table.concat(keys, " "))"""
    order = "-1 0 1 2 2.5 3 10 9 alpha b zeta"
    assert install(body).receipt.logs == (order, order)


@pytest.mark.parametrize("key", ["true", "{}", "print"])
@pytest.mark.parametrize("walk", ["for k in pairs(t) do end", "next(t)"])
def test_a_key_without_an_order_is_refused(failure, walk, key):
    assert "only strings and numbers have an order" in str(failure(f"local t = {{[{key}] = 1}}; {walk}"))


def test_fields_may_be_changed_and_cleared_while_pairs_goes_on(install):
    body = "local t = {a = 1, b = 2, c = 3}; for k in pairs(t) do t[k] = nil; t.c = nil; log(k) end; log(next(t))"
    assert install(body).receipt.logs == ("a", "b", "nil")


def test_pairs_honours_its_metamethod(install):
    body = (
        "local t = setmetatable({}, {__pairs = function() return ipairs{5} end}) for k, v in pairs(t) do log(k, v) end"
    )
    assert install(body).receipt.logs == ("1\t5",)


def test_nothing_prints_an_address(install):
    body = """
      local mine = setmetatable({}, {__tostring = function() return "mine" end})
      log({}, print, setmetatable({}, {__name = "Thing"}), mine)
      log(string.format("%s %10s %q", {}, print, "x\\n"), ("%d%%"):format(5), 0/0)"""
    assert install(body).receipt.logs[0] == "table\tfunction\tThing\tmine"
    assert install(body).receipt.logs[1] == 'table   function "x\\x5c\\x0a"\t5%\tnan'


@pytest.mark.parametrize(
    "name",
    ["os", "io", "package", "debug", "coroutine", "require", "dofile", "loadfile", "collectgarbage", "warn", "python",
     "lupa", "math.random", "math.randomseed", "string.dump"],
)  # fmt: skip
def test_what_reaches_outside_or_differs_from_run_to_run_is_gone(install, name):
    assert install(f"log(type({name}))").receipt.logs == ("nil",)


def test_what_is_left_is_exactly_this(install):
    body = """
      local function names(t)
        local out = {}
        for name in pairs(t) do out[#out + 1] = name end
        return table.concat(out, " ")
      end
      log(names(_G)) log(names(string)) log(names(table)) log(names(math)) log(names(utf8))"""
    assert install(body).receipt.logs == (
        "_G _VERSION assert chmod chown copy env error exists filemap getmetatable glob install install_root ipairs "
        "load log math mkdir mknod next pairs pcall print rawequal rawget rawlen rawset render run select setcap "
        "setmetatable string symlink table tonumber tostring type utf8 write xpcall",
        "byte char find format gmatch gsub len lower match pack packsize rep reverse sub unpack upper",
        "concat insert move pack remove sort unpack",
        "abs acos asin atan ceil cos deg exp floor fmod huge log max maxinteger min mininteger modf pi rad sin sqrt "
        "tan tointeger type ult",
        "char charpattern codepoint codes len offset",
    )


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('("x"):rep(3, ",")', "x,x,x"), ('(""):rep(1e15)', ""), ('("x"):rep(-1)', ""),
        ('("aZ\\xe9"):upper()', "AZ\\xe9"), ('("aZ\\xc9"):lower()', "az\\xc9"),
        ('select("#", table.unpack({1, nil, 3}, 1, 3))', "3"), ("table.concat({1, 2, 3}, '-', 2)", "2-3"),
        ('load("return 1 + 1")()', "2"), ('load("return x", "n", "t", {x = 5})()', "5"),
        ('select(2, load("\\27Lua"))', "attempt to load a binary chunk (mode is 't')"),
        ('select(2, load("return 1", "n", "b"))', "attempt to load a text chunk (mode is 'b')"),
        ('load("return install_root")()', "/"), ("math.type(3) .. math.type(3.0)", "integerfloat"),
        ("tostring(1e15) .. 2^53", "1e+159.007199254741e+15"), ('utf8.char(228, 8364)', "ä€"),
        ('("%5.1f|%-4d|%x"):format(3.14159, 7, 255)', "  3.1|7   |ff"), ("#table.pack(1, 2)", "2"),
        ("select(2, pcall(error, {1}))[1]", "1"), ('xpcall(error, function(e) return e .. "!" end, "x")', "false"),
        ('select(2, xpcall(error, function(e) return e .. "!" end, "x"))', "x!"), ("getmetatable('')", "locked"),
        ("table.move({1, 2, 3}, 1, 3, 2)[3]", "2"), ("table.remove({1, 2, 3}, 1)", "1"), ("7 // 2 | 8", "11"),
    ],
)  # fmt: skip
def test_the_rest_is_lua(install, expression, value):
    assert install(f"log(({expression}))").receipt.logs == (value,)


def test_sorting_is_stable_and_takes_any_comparison(install):
    body = """
      local words = {"bb", "a", "ccc", "aa", "b", "c"}
      table.sort(words, function(l, r) return #l < #r end)
      log(table.concat(words, " "))
      table.sort(words)
      log(table.concat(words, " "))
      table.sort(words, function() return true end)"""
    assert install(body).receipt.logs == ("a b c bb aa ccc", "a aa b bb c ccc")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("\n\nlog(nil .. 'x')", "install.lua:3: attempt to concatenate a nil value"),
        ("\nerror('mine')", "install.lua:2: mine"),
        ("error('mine', 0)", "install.lua: mine"),
        ("error({})", "install.lua: an error that is a table"),
        ("\n\n\nstring.rep()", "install.lua:4: bad argument #1 to 'rep' (string expected, got no value)"),
        ("\n('x'):find('[')", "install.lua:2: malformed pattern (missing ']')"),
        ("\nmkdir()", "install.lua:2: mkdir: argument 1 is missing"),
        ("\nmkdir('/a', '0755', 3)", "install.lua:2: mkdir: takes 2 arguments, got 3"),
        ("\nmkdir(print)", "install.lua:2: mkdir: argument 1 may not be a function"),
        ("\nmkdir(5)", "install.lua:2: mkdir: argument 1 must be a string"),
        ("\nlocal function f() mkdir('..') end\nf()", "install.lua:2: mkdir: '..': has the component '..'"),
        ("error('\\27[2J')", "install.lua:1: \\x1b[2J"),
        ("\nlog(('%d'):format('x'))", "install.lua:2: bad argument #2 to 'format' (number expected, got string)"),
        ("\nlog(tonumber({}, 10))", "install.lua:2: bad argument #1 to 'tonumber' (string expected, got table)"),
        ("\nlog(utf8.len({}))", "install.lua:2: bad argument #1 to 'len' (string expected, got table)"),
        ("\nlog(utf8.codepoint('\\xff'))", "install.lua:2: invalid UTF-8 code"),
        ("\nlog(tostring())", "install.lua:2: bad argument #1 to 'tostring' (value expected)"),
        ("\nsetmetatable(1, {})", "install.lua:2: bad argument #1 to 'setmetatable' (table expected, got number)"),
        ("\ntable.sort({1, 'x'})", "install.lua:2: attempt to compare string with number"),
        ("\ntable.sort({2, 1}, function() error({}) end)", "install.lua: an error that is a table"),
        ("\ntable.unpack()", "install.lua:2: bad argument #1 to 'unpack' (table expected, got no value)"),
        ("\nlog(table.concat({{}}))", "install.lua:2: invalid value (table) at index 1 in table for 'concat'"),
        ("\ntable.insert(setmetatable({}, {__len = log}), 1)", "install.lua:2: object length is not an integer"),
    ],
)
def test_an_error_names_star_script_and_line(failure, body, problem):
    assert str(failure(body)) == f"busybox: {problem}"


def test_an_error_of_any_level_names_no_line_of_the_sandbox(install):
    body = """
      for level = 0, 9 do
        local function mine() error("mine", level) end
        log((select(2, pcall(table.sort, {1, 2}, mine))))
        log((select(2, pcall(string.gsub, "x", "x", mine))))
      end"""
    assert {re.sub(r"^install\.lua:\d+: ", "", line) for line in install(body).receipt.logs} == {"mine"}


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("xpcall(error, error)", "false\terror in error handling"),
        (
            "xpcall(error, function(m) if m == 'twice' then return 'well' end error('twice', 0) end, 'once')",
            "false\twell",
        ),
        ("load(function() error('mine', 0) end)", "nil\tmine"),
        ("select('#', pairs({})), select(3, pairs({}))", "3\tnil"),
        ("select(2, pairs(string)) == string", "true"),
    ],
)
def test_what_can_fail_fails_as_in_lua(install, expression, answer):
    assert install(f"log({expression})").receipt.logs == (answer,)


def test_a_handler_that_always_fails_does_not_run_for_ever(install):
    body = "local n = 0; xpcall(error, function() n = n + 1 error() end) log(n)"
    assert install(body).receipt.logs == ("10",)


def test_a_syntax_error_names_its_line(script):
    with pytest.raises(ScriptFailed, match=r"busybox: install\.lua:3: unexpected symbol near 'end'"):
        script("function install()\n  copy(\nend")


def test_a_missing_library_is_explained(failure):
    assert "Nova has no os" in str(failure("os.execute('ls')").hint)


def test_a_script_may_catch_a_verbs_error(install):
    logs = install('log(pcall(copy, "no", "/x"))').receipt.logs
    assert logs == ("false\tinstall.lua:1: copy: no is not in the star's archive",)


@pytest.mark.objective("SO-24")  # which limit it is depends on no machine
@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ("while true do end", "instructions"),
        ("pcall(function() while true do end end) log('alive')", "instructions"),
        ("local function f() while true do pcall(f) end end f()", "instructions"),  # no hook runs on a full stack of C
        ("local s = 'x' while true do s = s .. s end", "memory"),
        ("pcall(function() local s = 'x' while true do s = s .. s end end) write('/alive', '')", "memory"),
        pytest.param("while true do mkdir(('/x'):rep(50)) end", "it did ", marks=pytest.mark.slow),
        ("for i = 1, 1e6 do log(('x'):rep(200)) end", "logged more"),
        ("local s = ('x'):rep(2^20) for i = 1, 100 do write('/x', s) end", "wrote more"),
    ],
)
def test_a_script_that_runs_on_is_stopped_and_cannot_catch_it(failure, body, limit, monkeypatch):
    monkeypatch.setattr(run, "_patience", lambda: Patience(seconds=LONG_SECONDS))  # a busy machine's time is no limit
    problem = str(failure(body))
    assert problem.startswith("busybox: install.lua: was stopped: it ")
    assert limit in problem


def test_real_bytecode_is_not_loaded_in_any_mode(install):
    code = LuaRuntime(encoding=None).execute(b"return string.dump(function() return 'bytecode ran' end)")
    text = "".join(f"\\{byte:03d}" for byte in code)
    body = f"""
      for _, mode in ipairs{{"b", "bt", "t", "x", ""}} do
        local chunk = load("{text}", "x", mode)
        log(chunk == nil)
      end
      log(load("{text}") == nil, load(function() local t = "{text}" return t end) == nil)"""
    assert install(body).receipt.logs == ("true",) * 5 + ("true\ttrue",)


GARBAGE = {
    "in a loop": "for i = 1, 1e6 do local x = {i} end",
    "in few instructions": "local s = ('x'):rep(10 << 20) s = s .. 'a' s = s .. 'b' s = s .. 'c' s = s .. 'd'",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("mode", ["k", "v", "kv"])
def test_a_table_made_weak_later_never_shows_when_lua_collected(failure, garbage, mode):
    body = f"""
      local meta = {{}}
      local t = setmetatable({{}}, meta)
      t[1], t[{{}}], meta.__mode = {{}}, 1, "{mode}"
      {garbage}
      meta.__mode = nil
      log(t[1] == nil)"""
    assert "was stopped: it had a weak table when Lua collected garbage" in str(failure(body))


def test_nor_does_the_way_in_which_the_script_ends_show_it(failure):
    body = f"""
      local meta = {{}}
      local t = setmetatable({{}}, meta)
      t[1], meta.__mode = {{}}, "v"
      {GARBAGE["in few instructions"]}
      error(t[1] == nil and "collected" or "not collected")"""
    assert "was stopped: it had a weak table when Lua collected garbage" in str(failure(body))


def test_a_table_made_weak_later_keeps_what_it_holds_until_lua_collects(install):
    body = """
      local meta = {}
      local t = setmetatable({}, meta)
      t[1], meta.__mode = {}, "v"
      for i = 1, 1e5 do local x = {i} end
      log(t[1] ~= nil)"""
    assert install(body).receipt.logs == ("true",)


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
def test_garbage_alone_ends_no_script(install, garbage):
    body = f"""
      local t = setmetatable({{}}, {{__mode = nil, __index = function() return 1 end}})
      t[1] = {{}}
      {garbage}
      log(type(t[1]))"""
    assert install(body).receipt.logs == ("table",)


@pytest.mark.slow
def test_a_script_close_to_the_memory_limit_pays_for_collecting_and_ends_by_count_not_by_time(failure):
    body = "local keep = {} for i = 1, 1e9 do keep[i % 280000] = {i} end"
    assert "it ran more than 100000000 instructions" in str(failure(body))


def test_not_a_number_has_no_sign_of_the_processors(install):
    body = """
      for _, nan in ipairs{0/0, -(0/0)} do log(nan, ("%f %g %5.1f %a %s %d"):format(nan, nan, nan, nan, nan, 7)) end"""
    assert install(body).receipt.logs == ("nan\tnan nan   nan nan nan 7",) * 2


def test_no_category_of_the_locale_that_lua_looks_at_stays_the_builders():
    code = """
import locale
for category in (locale.LC_CTYPE, locale.LC_COLLATE, locale.LC_NUMERIC):
    locale.setlocale(category, "C.UTF-8")
from cosmos.nova.outcome import Limits
from cosmos.nova.runtime import prepared, run_script
run_script(b"", "x", "install", prepared(Limits(), print))
print(*(locale.setlocale(category) for category in (locale.LC_CTYPE, locale.LC_COLLATE, locale.LC_NUMERIC)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG_SECONDS, check=True
    )
    assert done.stdout == "C C C\n"
