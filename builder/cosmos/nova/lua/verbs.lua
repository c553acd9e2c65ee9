-- The Lua side of the sandbox, last part: the verbs, and what runs the script.
--
-- Each verb is a Lua closure round the one host function; nothing but strings, numbers, booleans and nil crosses, in
-- either direction. An answer is `true, value`; `false, problem` (an error that a script may catch); or `nil, reason`
-- (the end).

local function answered(verb, before, ok, value)
  started = started + (clock() - before)  -- what verbs cost is counted by the broker, the same on every machine
  if ok then return value end
  if ok == nil then die(value or "the host failed") end
  fail(verb .. ": " .. value)
end

-- Where long text may stand; elsewhere the broker takes no more than this either, and need not be bothered.
local TEXT_AT, MAX_ARGUMENT = {log = 1, write = 2, render = 3}, 65536

-- The line of the script from which a verb is called: its innermost function that is in the script's own text.
local script_source = ""

local function line_of_script()
  local level = 3
  while level < 250 do
    local info = frame(level, "Sl")
    if not info then break end
    if info.source == script_source then return info.currentline end
    level = level + 1
  end
  return 0
end

local function ask(verb, ...)
  if select("#", ...) > 1002 then fail(verb .. ": got " .. select("#", ...) .. " arguments") end
  for place = 1, select("#", ...) do
    local kind = type((select(place, ...)))
    if kind ~= "string" and kind ~= "number" and kind ~= "boolean" and kind ~= "nil" then
      fail(verb .. ": argument " .. place .. " may not be a " .. kind)
    end
    if kind == "string" and place ~= TEXT_AT[verb] then
      local size = #(select(place, ...))
      if size > MAX_ARGUMENT then
        fail(verb .. ": argument " .. place .. " has " .. size .. " bytes, the limit is " .. MAX_ARGUMENT)
      end
    end
  end
  make_room()
  local before = clock()
  return answered(verb, before, call(verb, line_of_script(), ...))
end

for _, verb in ipairs({"copy", "symlink", "mkdir", "chmod", "chown", "exists", "write", "setcap", "mknod", "env"}) do
  env[verb] = function(...) return ask(verb, ...) end
end

env.install_root = "/"

function env.run(command, ...)
  if select("#", ...) > 0 then fail('run: takes one command: write run{"make", "-j2"}') end
  if command == nil or type(command) == "string" then return ask("run", "line", command) end
  if type(command) ~= "table" then fail("run: the command may not be a " .. type(command)) end
  local words = {}
  for place = 1, rawlen(command) do
    local word = rawget(command, place)
    if type(word) ~= "string" and type(word) ~= "number" then
      fail("run: word " .. place .. " of the command may not be a " .. type(word))
    end
    words[place] = tostring(word)
  end
  for key in real_next, command do
    if words[key] == nil and key ~= "n" then fail("run: the command is a list of words without a gap or a key") end
  end
  if #words > 1000 then fail("run: the command has more than 1000 words") end
  return ask("run", "words", unpack(words))
end

function env.log(...)
  local texts = pack(...)
  for place = 1, texts.n do texts[place] = tostring(texts[place]) end
  ask("log", join(texts, "\t", 1, texts.n))
end
env.print = env.log

function env.filemap(expected)
  if type(expected) ~= "table" then fail("filemap: wants a table of paths, got " .. kind_of(expected)) end
  ask("filemap")
  for key, value in ordered_pairs(expected, "filemap") do
    if type(key) == "string" then ask("filemap", key, value) else ask("filemap", value) end
  end
end

function env.glob(pattern)
  local answer, paths, place = ask("glob", pattern), {}, 1
  while place <= #answer do
    local stop = find_plain(answer, "\0", place, true)
    paths[#paths + 1] = sub(answer, place, stop - 1)
    place = stop + 1
  end
  return paths
end

local function quoted(text)
  local plain = patterns.gsub(text, '[\0-\31"\\\127]', function(letter)
    return real_string.format("\\u%04x", byte(letter))
  end)
  return '"' .. plain .. '"'
end

-- A value as JSON; what JSON cannot say is an error.
local function encoded(value, depth)
  local kind = type(value)
  if depth > 8 then fail("render: vars are nested more than 8 deep") end
  if kind == "string" then return quoted(value) end
  if kind == "boolean" then return real_tostring(value) end
  if kind == "number" then
    if number_kind(value) ~= "integer" then fail("render: vars may hold no fractions; use a string") end
    return real_tostring(value)
  end
  if kind ~= "table" then fail("render: vars may not hold a " .. kind) end
  local pieces, size = {}, rawlen(value)
  for key, item in ordered_pairs(value, "render") do
    if size == 0 then
      if type(key) ~= "string" then fail("render: vars may not hold a number as a key") end
      pieces[#pieces + 1] = quoted(key) .. ":" .. encoded(item, depth + 1)
    else
      if key ~= #pieces + 1 then fail("render: vars hold a table that is neither a list nor a map") end
      pieces[#pieces + 1] = encoded(item, depth + 1)
    end
  end
  if size == 0 then return "{" .. join(pieces, ",") .. "}" end
  return "[" .. join(pieces, ",") .. "]"
end

function env.render(template, path, vars)
  if vars ~= nil and type(vars) ~= "table" then fail("render: vars must be a table, got " .. type(vars)) end
  return ask("render", template, path, encoded(vars or {}, 1))
end

-- Nothing of the real globals is left, for whatever might still find its way to them.
local globals, loaded = _G, package.loaded
for _, left in ipairs({loaded, package.preload, package.searchers, package, globals}) do
  local names = {}
  for name in real_next, left do names[#names + 1] = name end
  for _, name in ipairs(names) do left[name] = nil end
end

local function told(problem)
  if type(problem) == "string" then return problem end
  if type(problem) == "number" then return real_tostring(problem) end
  return "an error that is a " .. type(problem)
end

-- Run `name` of the script; answers "done", or "syntax", "missing", "failed", "over", and why. Python calls it once.
function start(source, script_name, name)
  local stage, found = "syntax", nil
  set_locale("C", "ctype")  -- what `%q` escapes; not before: Python reads files by it
  sethook(tick, "", STRIDE)
  local ok, problem = real_pcall(function()
    charge(#source)
    script_source = "=" .. script_name
    local chunk, wrong = real_load(source, script_source, "t", env)
    if not chunk then error(wrong, 0) end
    stage = "failed"
    chunk()
    found = rawget(env, name)
    if type(found) ~= "function" then stage = "missing" error(type(found), 0) end
    found()
  end)
  real_pcall(check_probes)  -- how it ended may tell, too
  sethook()
  if dead then return "over", dead end
  if ok then return "done", "" end
  if problem == "not enough memory" then return "over", OUT_OF_MEMORY end
  if type(problem) == "userdata" then return "over", "the host failed" end
  return stage, told(problem)
end
return start
