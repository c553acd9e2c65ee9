-- The Lua side of the sandbox, third part: iteration in a fixed order, and the tables `string`, `table`, `math`,
-- `utf8`.
--
-- Left out, because results would differ from run to run or because they reach outside: `math.random`,
-- `math.randomseed`, `string.dump`, `%p`, `coroutine`, `debug`, `io`, `os`, `package`, `require`, `dofile`, `loadfile`,
-- `collectgarbage`, `warn`.

local function less(left, right) return left < right end

-- Sort list[1..size] by `before`, stably (merge sort, bottom up). Lua's own sort picks pivots by the clock.
local function sort_list(list, size, before)
  local from, to, width = list, {}, 1
  while width < size do
    for low = 1, size, 2 * width do
      local middle, high = low + width, low + 2 * width
      if middle > size + 1 then middle = size + 1 end
      if high > size + 1 then high = size + 1 end
      local left, right = low, middle
      for place = low, high - 1 do
        if left < middle and (right >= high or not before(from[right], from[left])) then
          to[place], left = from[left], left + 1
        else
          to[place], right = from[right], right + 1
        end
      end
    end
    from, to, width = to, from, 2 * width
  end
  return from
end

-- The keys of a table: numbers, then strings, each in order.
local function ordered_keys(t, name)
  local size, numbers, texts, others = rawlen(t), {}, {}, false
  for key in real_next, t do
    local kind = number_kind(key)
    if kind == "integer" and key >= 1 and key <= size then
      -- the list part: in order already
    elseif kind then
      others = true
    elseif type(key) == "string" then
      texts[#texts + 1] = key
    else
      fail(name .. ": a key is a " .. type(key) .. "; only strings and numbers have an order")
    end
  end
  if others then
    for key in real_next, t do
      if number_kind(key) then numbers[#numbers + 1] = key end
    end
    numbers = sort_list(numbers, #numbers, less)
  else
    for key = 1, size do
      if rawget(t, key) ~= nil then numbers[#numbers + 1] = key end
    end
  end
  local count = #numbers
  for place, key in ipairs(sort_list(texts, #texts, less)) do numbers[count + place] = key end
  return numbers
end

local function ordered_pairs(t, name)
  local keys, place = ordered_keys(t, name), 0
  return function()
    while true do
      place = place + 1
      local key = keys[place]
      if key == nil then return nil end
      local value = rawget(t, key)
      if value ~= nil then return key, value end
    end
  end
end

function env.pairs(t)
  local meta = metatable_of(t)
  local method = meta and rawget(meta, "__pairs")
  if method ~= nil then
    local step, state, first = method(t)
    return step, state, first
  end
  return ordered_pairs(want_table(t, 1, "pairs"), "pairs"), t, nil
end

local function comes_before(left, right)
  local left_is_number, right_is_number = number_kind(left), number_kind(right)
  if left_is_number and right_is_number then return left < right end
  if left_is_number or right_is_number then return left_is_number ~= nil end
  return left < right
end

function env.next(t, key)
  want_table(t, 1, "next")
  if key ~= nil and not number_kind(key) and type(key) ~= "string" then
    fail("next: a key is a " .. type(key) .. "; only strings and numbers have an order")
  end
  local best
  for other in real_next, t do
    if not number_kind(other) and type(other) ~= "string" then
      fail("next: a key is a " .. type(other) .. "; only strings and numbers have an order")
    end
    if (key == nil or comes_before(key, other)) and (best == nil or comes_before(other, best)) then best = other end
  end
  if best == nil then return nil end
  return best, rawget(t, best)
end

local MAX_TEXT = max_memory // 2

local text_library = {
  find = patterns.find, match = patterns.match, gmatch = patterns.gmatch, gsub = patterns.gsub,
  byte = real_string.byte, char = real_string.char, len = real_string.len, sub = real_string.sub,
}
for _, name in ipairs({"pack", "packsize", "reverse", "unpack"}) do
  text_library[name] = paid(name, real_string[name])
end

function text_library.rep(text, times, between)
  text, times = want_text(text, 1, "rep"), want_integer(times, 2, "rep")
  between = between == nil and "" or want_text(between, 3, "rep")
  if times <= 0 or #text + #between == 0 then return "" end
  if times > MAX_TEXT // (#text + #between) then fail("resulting string too large") end
  charge(times // 8 + (#text + #between) * times // 64)
  return real_string.rep(text, times, between)
end

-- Letters of ASCII only: C's own functions follow the builder's locale.
local function with_case(name, low, high, shift)
  local convert = real_string[name]
  return function(text)
    text = want_text(text, 1, name)
    charge(#text // 64)
    if not find_plain(text, "[\128-\255]") then return convert(text) end
    local pieces = {}
    for place = 1, #text do
      local code = byte(text, place)
      if code >= low and code <= high then code = code + shift end
      pieces[place] = char(code)
    end
    return join(pieces)
  end
end
text_library.upper = with_case("upper", 97, 122, -32)
text_library.lower = with_case("lower", 65, 90, 32)

-- The letter of each conversion in a format, in order.
local function conversions(form)
  local letters, place = {}, 1
  while true do
    local at = find_plain(form, "%", place, true)
    if not at then return letters end
    place = at + 1
    if byte(form, place) == 37 then
      place = place + 1
    else
      local code = byte(form, place)
      while code and not ((code >= 65 and code <= 90) or (code >= 97 and code <= 122)) do
        place = place + 1
        code = byte(form, place)
      end
      letters[#letters + 1] = code and char(code) or ""
      place = place + 1
    end
  end
end

local NAN = real_string.unpack("<d", "\0\0\0\0\0\0\xf8\x7f")  -- that of 0/0 has a sign on some processors

local format = named("format", real_string.format)

function text_library.format(form, ...)
  form = want_text(form, 1, "format")
  local values = pack(...)
  for place, letter in ipairs(conversions(form)) do
    if letter == "p" then fail("format: %p is not to be had in a script: addresses differ from run to run") end
    if letter == "s" and place <= values.n then values[place] = tostring(values[place]) end
    if values[place] ~= values[place] then values[place] = NAN end
  end
  return format(form, unpack(values, 1, values.n))
end
env.string = text_library

local list_library = {pack = pack}

local function length(list)
  return integer(#list) or fail("object length is not an integer")
end

function list_library.insert(list, ...)
  want_table(list, 1, "insert")
  local size, given = length(list) + 1, select("#", ...)
  if given == 1 then
    list[size] = (...)
  elseif given == 2 then
    local place, value = ...
    place = want_integer(place, 2, "insert")
    if place < 1 or place > size then bad(2, "insert", "position out of bounds") end
    for at = size, place + 1, -1 do list[at] = list[at - 1] end
    list[place] = value
  else
    fail("wrong number of arguments to 'insert'")
  end
end

function list_library.remove(list, ...)
  want_table(list, 1, "remove")
  local size = length(list)
  local place = want_integer((...), 2, "remove", size)
  if place ~= size and (place < 1 or place > size + 1) then bad(2, "remove", "position out of bounds") end
  local value = list[place]
  for at = place, size - 1 do list[at] = list[at + 1] end
  list[place < size and size or place] = nil
  return value
end

function list_library.concat(list, between, first, last)
  want_table(list, 1, "concat")
  between = between == nil and "" or want_text(between, 2, "concat")
  first = want_integer(first, 3, "concat", 1)
  last = last == nil and length(list) or want_integer(last, 4, "concat")
  local pieces, count = {}, 0
  for place = first, last do
    local piece = list[place]
    if type(piece) ~= "string" and type(piece) ~= "number" then
      fail("invalid value (" .. type(piece) .. ") at index " .. place .. " in table for 'concat'")
    end
    count = count + 1
    pieces[count] = piece
  end
  return join(pieces, between, 1, count)
end

function list_library.unpack(list, first, last)
  if list == nil then bad(1, "unpack", "table expected, got no value") end
  first = want_integer(first, 2, "unpack", 1)
  last = last == nil and length(list) or want_integer(last, 3, "unpack")
  if last - first >= 65536 or (first < last and last - first < 0) then fail("too many results to unpack") end
  if last > first then charge((last - first) // 4) end
  return unpack(list, first, last)
end

function list_library.move(from, first, last, place, to)
  want_table(from, 1, "move")
  if to == nil then to = from else want_table(to, 5, "move") end
  first, last = want_integer(first, 2, "move"), want_integer(last, 3, "move")
  place = want_integer(place, 4, "move")
  if last < first then return to end
  if first <= 0 and last >= real_math.maxinteger + first then bad(3, "move", "too many elements to move") end
  if place > real_math.maxinteger - (last - first) then bad(4, "move", "destination wrap around") end
  if place > last or place <= first or to ~= from then
    for step = 0, last - first do to[place + step] = from[first + step] end
  else
    for step = last - first, 0, -1 do to[place + step] = from[first + step] end
  end
  return to
end

-- What the sandbox's own Lua cannot compare is an error of the script's line.
local function sorted(ok, ...)
  if ok then return ... end
  local problem = ...
  local _, last = find_plain(type(problem) == "string" and problem or "", "^nova:%d+: ")
  if last then fail(sub(problem, last + 1)) end
  error(problem, 0)
end

function list_library.sort(list, before)
  want_table(list, 1, "sort")
  if before ~= nil and type(before) ~= "function" then
    bad(2, "sort", "function expected, got " .. type(before))
  end
  local size, values = length(list), {}
  if size >= 2147483647 then bad(1, "sort", "array too big") end
  for place = 1, size do values[place] = list[place] end
  values = sorted(settle(real_pcall(sort_list, values, size, before or less)))
  for place = 1, size do list[place] = values[place] end
end
env.table = list_library

env.math, env.utf8 = {}, {}
for _, name in ipairs({
  "abs", "acos", "asin", "atan", "ceil", "cos", "deg", "exp", "floor", "fmod", "huge", "log", "max",
  "maxinteger", "min", "mininteger", "modf", "pi", "rad", "sin", "sqrt", "tan", "tointeger", "type", "ult"
}) do
  env.math[name] = real_math[name]
end
for _, name in ipairs({"codepoint", "codes", "len", "offset"}) do env.utf8[name] = paid(name, utf8[name]) end
env.utf8.char, env.utf8.charpattern = utf8.char, utf8.charpattern

local texts = metatable_of("")
texts.__index, texts.__metatable = text_library, "locked"
