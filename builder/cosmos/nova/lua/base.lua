-- The Lua side of the sandbox, first part: the budget, what ends a script for good, and the plain functions of
-- `_ENV`.
--
-- `base`, `patterns`, `library` and `verbs` are one Lua chunk when joined (`cosmos.nova.prelude`): they share locals,
-- and what a script gets is the table `env` alone. The chunk's arguments are the one host function and the limits.
--
-- How a script is kept from running on:
--
-- - every `STRIDE` instructions a hook adds them to `spent` and looks at the processor clock. Hooks do not fire inside
--   C functions, so that each C function a script can reach either works in time bounded by the memory limit, or is
--   wrapped and pays with `charge`, or is written again in Lua (patterns, `table.insert` and its like, `sort`, `next`,
--   `pairs`);
-- - `die` ends the script for good: `dead` is set, and `pcall` and the hook raise again whatever a script does about
--   it;
-- - no script code runs where hooks are off: finalizers (`__gc`) are refused, and `xpcall` calls its handler after
--   unwinding.
--
-- How a script is kept from seeing when Lua collects garbage, which may differ from run to run by how strings hash:
--
-- - Lua collects in `make_room` and where an allocation fails, never by itself;
-- - only a weak table would show it. `setmetatable` refuses `__mode`, which may be added to a metatable later:
--   therefore each metatable of the script has a *probe* here, a table with that metatable that holds garbage only. A
--   probe that is empty after a collection tells of weak tables, and ends the script before its next verb.

local call, max_instructions, max_cpu_seconds, max_memory, headroom, max_source = ...
local STRIDE, MAX_HANDLERS = 250, 10

local assert, error, ipairs, type, select, tonumber = assert, error, ipairs, type, select, tonumber
local rawequal, rawget, rawset, rawlen = rawequal, rawget, rawset, rawlen
local getmetatable, real_setmetatable, real_next, real_pcall = getmetatable, setmetatable, next, pcall
local real_tostring, real_load, real_string, real_table, real_math = tostring, load, string, table, math
local byte, sub, char, join, pack, unpack = string.byte, string.sub, string.char, table.concat, table.pack, table.unpack
local find_plain, floor, integer, number_kind = string.find, math.floor, math.tointeger, math.type
local sethook, frame, metatable_of = debug.sethook, debug.getinfo, debug.getmetatable
local clock, set_locale, collect = os.clock, os.setlocale, collectgarbage

-- Numbers and the order of strings must not depend on the builder's locale.
for _, category in ipairs({"collate", "numeric"}) do
  if set_locale(nil, category) ~= "C" then set_locale("C", category) end
end

local env = {}
local spent, dead, started = 0, nil, clock()
local OVER = {}  -- what nothing may catch
local tick, start

-- From here on every single instruction of the script raises, those of its `__close` handlers too.
local function die(reason)
  dead = dead or reason
  sethook(tick, "", 1)
  error(OVER, 0)
end

local function over_instructions()
  die("it ran more than " .. max_instructions .. " instructions")
end

local function check_clock()
  if clock() - started > max_cpu_seconds then die("it took more than " .. max_cpu_seconds .. " seconds") end
end

local function charge(steps)
  spent = spent + steps
  if spent > max_instructions then over_instructions() end
  if steps > 1000 then check_clock() end
end

local OUT_OF_MEMORY = "it used more than " .. max_memory // 1048576 .. " MiB of memory"

collect("stop")
local probes = real_setmetatable({}, {__mode = "k"})  -- by metatable
local witness = real_setmetatable({}, {__mode = "v"})  -- empty once Lua has collected

local function check_probes()
  if witness[1] then return end
  for _, probe in real_next, probes do
    if real_next(probe) == nil then die("it had a weak table when Lua collected garbage") end
  end
  witness[1] = {}
end
check_probes()

-- Values cross from Python outside of Lua's own protection: there must be room for them beforehand. And a script
-- that lives close to the limit would make Lua collect garbage at every allocation.
local function make_room()
  if collect("count") * 1024 > max_memory - headroom then
    collect()
    local kept = collect("count") * 1024 // 1
    if kept > max_memory - headroom then die(OUT_OF_MEMORY) end
    charge(kept // 32)  -- more than the time that it takes
  end
  check_probes()
end

function tick()
  if dead then
    if frame(2, "f").func == start then return end
    error(OVER, 0)
  end
  spent = spent + STRIDE
  if spent > max_instructions then over_instructions() end
  check_clock()
  make_room()
end

-- Raise `text` as an error of the innermost line of the script.
local function fail(text)
  local level = 2
  while level < 250 do
    local info = frame(level, "Sl")
    if not info then break end
    if info.currentline > 0 and info.source ~= "=nova" then
      error(info.short_src .. ":" .. info.currentline .. ": " .. text, 0)
    end
    level = level + 1
  end
  error(text, 0)
end

local function bad(place, name, text)
  fail("bad argument #" .. place .. " to '" .. name .. "' (" .. text .. ")")
end

local function kind_of(value)
  return value == nil and "no value" or type(value)
end

local function want_table(value, place, name)
  if type(value) ~= "table" then bad(place, name, "table expected, got " .. kind_of(value)) end
  return value
end

local function want_text(value, place, name)
  if type(value) == "string" then return value end
  if type(value) ~= "number" then bad(place, name, "string expected, got " .. kind_of(value)) end
  return real_tostring(value)
end

local function want_integer(value, place, name, default)
  if value == nil and default ~= nil then return default end
  local number = type(value) == "string" and tonumber(value) or value
  if type(number) ~= "number" then bad(place, name, "number expected, got " .. kind_of(value)) end
  local whole = integer(number)
  if not whole then bad(place, name, "number has no integer representation") end
  return whole
end

-- As Lua's own, but that a line of the sandbox's is no place, as one of C's is none.
local function script_error(message, level)
  level = want_integer(level, 2, "error", 1)
  local at = level > 0 and frame(level + 1, "S")
  if not at or at.source == "=nova" then error(message, 0) end
  error(message, level + 1)
end

-- Tables, functions and userdata have addresses; their text must not.
local function tostring(...)
  if select("#", ...) == 0 then bad(1, "tostring", "value expected") end
  local value = ...
  local kind = type(value)
  if kind == "string" then return value end
  local meta = kind ~= "number" and metatable_of(value)
  if meta then
    local method, name = rawget(meta, "__tostring"), rawget(meta, "__name")
    if method ~= nil then
      local text = method(value)
      if type(text) ~= "string" then fail("'__tostring' must return a string") end
      return text
    end
    if type(name) == "string" then return name end
  end
  if kind == "number" or kind == "boolean" or kind == "nil" then
    if value ~= value then return "nan" end  -- KNOWN GAP: `..` and pack show its sign, the processor's
    return real_tostring(value)
  end
  return kind
end

-- Where C's stack is nearly full the hook cannot be called: that is an error of the script, which may catch it and go
-- on. So each error that is caught pays for what the hook did not count, and for the time that such an error takes.
local function settle(ok, ...)
  if dead then error(OVER, 0) end
  if not ok then
    charge(10 * STRIDE)
    local problem = ...
    if problem == "not enough memory" then die(OUT_OF_MEMORY) end
    if type(problem) == "userdata" then die("the host failed") end
  end
  return ok, ...
end

local function answered_as(name, ok, ...)
  if ok then return ... end
  local problem = ...
  local first, last = find_plain(problem, "'?'", 1, true)  -- C was called by pcall, and has no name for itself
  if first then problem = sub(problem, 1, first) .. name .. sub(problem, last) end
  fail(problem)
end

-- `action`, a function of C, whose errors name the script's line, and it by `name`.
local function named(name, action)
  return function(...) return answered_as(name, settle(real_pcall(action, ...))) end
end

local set_metatable = named("setmetatable", real_setmetatable)

function env.pcall(...)
  if select("#", ...) == 0 then bad(1, "pcall", "value expected") end
  return settle(real_pcall(...))
end

-- As in Lua, a handler that fails is called again with its own error; but not as often.
local function handled(handler, ok, ...)
  if ok then return true, ... end
  local answers = pack(true, ...)
  for _ = 1, MAX_HANDLERS do
    answers = pack(settle(real_pcall(handler, answers[2])))
    if answers[1] then return false, unpack(answers, 2, answers.n) end
  end
  return false, "error in error handling"
end

function env.xpcall(action, handler, ...)
  if type(handler) ~= "function" then bad(2, "xpcall", "function expected, got " .. kind_of(handler)) end
  return handled(handler, settle(real_pcall(action, ...)))
end

function env.setmetatable(...)
  local value, meta = ...
  if type(meta) == "table" then
    for _, name in ipairs({"__gc", "__mode"}) do
      if rawget(meta, name) ~= nil then fail("setmetatable: " .. name .. " is not to be had in a script") end
    end
    if not probes[meta] then probes[meta] = real_setmetatable({[{}] = {}}, meta) end
  end
  return set_metatable(...)
end

function env.load(...)
  local chunk, name, mode, upvalue = ...
  if type(chunk) == "function" then
    local pieces, size = {}, 0
    while true do
      local ok, piece = settle(real_pcall(chunk))
      if not ok then return nil, piece end
      if piece == nil or piece == "" then break end
      if type(piece) ~= "string" then return nil, "reader function must return a string" end
      size = size + #piece
      if size > max_source then break end
      pieces[#pieces + 1] = piece
    end
    chunk, name = join(pieces), name or "=(load)"
  end
  chunk = want_text(chunk, 1, "load")
  if #chunk > max_source then return nil, "chunk is larger than " .. max_source .. " bytes" end
  charge(#chunk + #chunk * #chunk // 1000)  -- the parser can be made to take quadratic time
  mode = mode == nil and "bt" or want_text(mode, 3, "load")
  local has_text = false
  for place = 1, #mode do has_text = has_text or byte(mode, place) == 116 end
  if not has_text then return nil, "attempt to load a text chunk (mode is '" .. mode .. "')" end
  name = name == nil and chunk or want_text(name, 2, "load")
  if name == "=nova" then name = "=(load)" end
  if select("#", ...) < 4 then upvalue = env end
  return real_load(chunk, name, "t", upvalue)
end

-- C functions whose time grows with the text that they are given, paid for by its length.
local function paid(name, action)
  action = named(name, action)
  return function(...)
    local size = 0
    for place = 1, 2 do
      local value = select(place, ...)
      if type(value) == "string" then size = size + #value end
    end
    if size > 64 then charge(size // 8) end
    return action(...)
  end
end

for name, value in real_next, {
  assert = assert, error = script_error, ipairs = ipairs, type = type, select = select,
  tonumber = paid("tonumber", tonumber), tostring = tostring, rawequal = rawequal, rawget = rawget, rawset = rawset,
  rawlen = rawlen, getmetatable = getmetatable, _VERSION = _VERSION, _G = env,
} do env[name] = value end
