-- The Lua side of the sandbox, second part: `string.find`, `match`, `gmatch` and `gsub`, written in Lua.
--
-- Lua's own matcher is C: no hook fires inside it, and a hostile pattern runs for hours
-- (`("a"):rep(30):find(("a-"):rep(20) .. "b")`). This one gives the same answers (a differential test compares them)
-- and pays for each step from the script's budget. The grammar is that of the Lua 5.4 manual, section 6.4.1; classes
-- are those of ASCII, whatever the builder's locale.

local patterns = {}

do
  local ESCAPE, CARET, DOLLAR, OPEN, CLOSE, SET, SET_END, DOT = 37, 94, 36, 40, 41, 91, 93, 46
  local STAR, PLUS, MINUS, QUESTION = 42, 43, 45, 63
  local UNFINISHED, POSITION, MAX_CAPTURES, MAX_DEPTH = -1, -2, 32, 200

  local classes = {}
  do
    local function class(letter, holds)
      local members, others = {}, {}
      for code = 0, 255 do
        members[code] = holds(code)
        others[code] = not members[code]
      end
      classes[byte(letter)], classes[byte(letter) - 32] = members, others
    end
    local function between(low, high) return function(code) return code >= low and code <= high end end
    local lower, upper, digit = between(97, 122), between(65, 90), between(48, 57)
    local function letter(code) return lower(code) or upper(code) end
    class("a", letter)
    class("c", function(code) return code < 32 or code == 127 end)
    class("d", digit)
    class("g", between(33, 126))
    class("l", lower)
    class("p", function(code) return code > 32 and code < 127 and not letter(code) and not digit(code) end)
    class("s", function(code) return code == 32 or (code >= 9 and code <= 13) end)
    class("u", upper)
    class("w", function(code) return letter(code) or digit(code) end)
    class("z", function(code) return code == 0 end)
    class("x", function(code) return digit(code) or (code >= 97 and code <= 102) or (code >= 65 and code <= 70) end)
  end

  local function in_class(code, letter)
    local class = classes[letter]
    if class then return class[code] end
    return code == letter
  end

  -- Where the single-character item at `p` of the pattern ends.
  local function item_end(m, p)
    local pattern, size = m.pattern, m.pattern_size
    local first = byte(pattern, p)
    if first == ESCAPE then
      if p == size then fail("malformed pattern (ends with '%')") end
      return p + 2
    end
    if first ~= SET then return p + 1 end
    p = p + 1
    if byte(pattern, p) == CARET then p = p + 1 end
    repeat
      if p > size then fail("malformed pattern (missing ']')") end
      local code = byte(pattern, p)
      p = p + 1
      if code == ESCAPE then p = p + 1 end
    until byte(pattern, p) == SET_END
    return p + 1
  end

  -- Whether `code` is in the set that begins at `p` and whose `]` is at `last`.
  local function in_set(m, code, p, last)
    local pattern, wanted = m.pattern, true
    if byte(pattern, p + 1) == CARET then wanted, p = false, p + 1 end
    p = p + 1
    while p < last do
      local first = byte(pattern, p)
      if first == ESCAPE then
        p = p + 1
        if in_class(code, byte(pattern, p)) then return wanted end
      elseif byte(pattern, p + 1) == MINUS and p + 2 < last then
        if first <= code and code <= byte(pattern, p + 2) then return wanted end
        p = p + 2
      elseif first == code then
        return wanted
      end
      p = p + 1
    end
    return not wanted
  end

  local function fits(m, s, p, ep)
    local code = byte(m.text, s)
    if not code then return false end
    local first = byte(m.pattern, p)
    if first == DOT then return true end
    if first == ESCAPE then return in_class(code, byte(m.pattern, p + 1)) end
    if first == SET then return in_set(m, code, p, ep - 1) end
    return first == code
  end

  local follow

  local function open_capture(m, s, p, size)
    local level = m.level + 1
    if level > MAX_CAPTURES then fail("too many captures") end
    m.starts[level], m.sizes[level], m.level = s, size, level
    local found = follow(m, s, p)
    if not found then m.level = m.level - 1 end
    return found
  end

  local function close_capture(m, s, p)
    local level = m.level
    while level > 0 and m.sizes[level] ~= UNFINISHED do level = level - 1 end
    if level == 0 then fail("invalid pattern capture") end
    m.sizes[level] = s - m.starts[level]
    local found = follow(m, s, p)
    if not found then m.sizes[level] = UNFINISHED end
    return found
  end

  local function after_balance(m, s, p)
    if p >= m.pattern_size then fail("malformed pattern (missing arguments to '%b')") end
    local opening, closing = byte(m.pattern, p, p + 1)
    if byte(m.text, s) ~= opening then return nil end
    local depth = 1
    for place = s + 1, m.text_size do
      local code = byte(m.text, place)
      if code == closing then
        depth = depth - 1
        if depth == 0 then return place + 1 end
      elseif code == opening then
        depth = depth + 1
      end
    end
    return nil
  end

  local function after_reference(m, s, letter)
    local level = letter - 48
    if level < 1 or level > m.level or m.sizes[level] == UNFINISHED then fail("invalid capture index %" .. level) end
    local size = m.sizes[level]
    if size == POSITION then return nil end
    charge(size // 8)
    local first = m.starts[level]
    if m.text_size - s + 1 >= size and sub(m.text, first, first + size - 1) == sub(m.text, s, s + size - 1) then
      return s + size
    end
    return nil
  end

  local function at_frontier(m, s, p, ep)
    local before, here = byte(m.text, s - 1) or 0, byte(m.text, s) or 0
    if s == 1 then before = 0 end
    return not in_set(m, before, p, ep - 1) and in_set(m, here, p, ep - 1)
  end

  local function most_first(m, s, p, ep)
    local count = 0
    while fits(m, s + count, p, ep) do count = count + 1 end
    while count >= 0 do
      local found = follow(m, s + count, ep + 1)
      if found then return found end
      count = count - 1
    end
    return nil
  end

  local function fewest_first(m, s, p, ep)
    while true do
      local found = follow(m, s, ep + 1)
      if found then return found end
      if not fits(m, s, p, ep) then return nil end
      s = s + 1
    end
  end

  -- Where a match of the pattern from `p` on ends that begins at `s` of the text; nil where there is none.
  function follow(m, s, p)
    local pattern, size = m.pattern, m.pattern_size
    m.depth = m.depth + 1
    if m.depth > MAX_DEPTH then fail("pattern too complex") end
    local found
    while true do
      if p > size then found = s break end
      local first = byte(pattern, p)
      local second = byte(pattern, p + 1)
      if first == OPEN then
        if second == CLOSE then found = open_capture(m, s, p + 2, POSITION)
        else found = open_capture(m, s, p + 1, UNFINISHED) end
        break
      elseif first == CLOSE then
        found = close_capture(m, s, p + 1)
        break
      elseif first == DOLLAR and p == size then
        if s == m.text_size + 1 then found = s end
        break
      elseif first == ESCAPE and second == 98 then
        s = after_balance(m, s, p + 2)
        if not s then break end
        p = p + 4
      elseif first == ESCAPE and second == 102 then
        p = p + 2
        if byte(pattern, p) ~= SET then fail("missing '[' after '%f' in pattern") end
        local ep = item_end(m, p)
        if not at_frontier(m, s, p, ep) then break end
        p = ep
      elseif first == ESCAPE and second and second >= 48 and second <= 57 then
        s = after_reference(m, s, second)
        if not s then break end
        p = p + 2
      else
        local ep = item_end(m, p)
        local suffix = byte(pattern, ep)
        if suffix == STAR then
          found = most_first(m, s, p, ep)
          break
        elseif suffix == MINUS then
          found = fewest_first(m, s, p, ep)
          break
        elseif suffix == PLUS then
          if fits(m, s, p, ep) then found = most_first(m, s + 1, p, ep) end
          break
        elseif suffix == QUESTION then
          if fits(m, s, p, ep) then
            found = follow(m, s + 1, ep + 1)
            if found then break end
          end
          p = ep + 1
        elseif fits(m, s, p, ep) then
          s, p = s + 1, ep
        else
          break
        end
      end
    end
    m.depth = m.depth - 1
    return found
  end

  local function matcher(text, pattern)
    return {text = text, text_size = #text, pattern = pattern, pattern_size = #pattern, level = 0, depth = 0,
            starts = {}, sizes = {}}
  end

  local function match_at(m, s, p)
    m.level, m.depth = 0, 0
    return follow(m, s, p)
  end

  local function capture(m, level, s, e)
    if level > m.level then
      if level ~= 1 then fail("invalid capture index %" .. level) end
      return sub(m.text, s, e - 1)
    end
    local size = m.sizes[level]
    if size == POSITION then return m.starts[level] end
    if size == UNFINISHED then fail("unfinished capture") end
    return sub(m.text, m.starts[level], m.starts[level] + size - 1)
  end

  local function captures(m, s, e, whole)
    local count = (m.level == 0 and whole) and 1 or m.level
    local values = {}
    for level = 1, count do values[level] = capture(m, level, s, e) end
    return unpack(values, 1, count)
  end

  local function from_start(place, size)
    if place > 0 then return place end
    if place == 0 or place < -size then return 1 end
    return size + place + 1
  end

  local function is_plain(pattern)
    for place = 1, #pattern do
      local code = byte(pattern, place)
      if code == CARET or code == DOLLAR or code == STAR or code == PLUS or code == QUESTION or code == DOT
        or code == OPEN or code == SET or code == ESCAPE or code == MINUS then return false end
    end
    return true
  end

  local function search(name, text, pattern, init, plain)
    text, pattern = want_text(text, 1, name), want_text(pattern, 2, name)
    init = from_start(want_integer(init, 3, name, 1), #text)
    if init > #text + 1 then return nil end
    if name == "find" and (plain or is_plain(pattern)) then
      charge((#text - init + 1) * (#pattern + 1) // 1000)  -- C compares the two byte by byte
      return find_plain(text, pattern, init, true)
    end
    local m, p, anchored = matcher(text, pattern), 1, byte(pattern, 1) == CARET
    if anchored then p = 2 end
    for s = init, #text + 1 do
      local e = match_at(m, s, p)
      if e then
        if name == "find" then return s, e - 1, captures(m, s, e, false) end
        return captures(m, s, e, true)
      end
      if anchored then return nil end
    end
    return nil
  end

  function patterns.find(text, pattern, init, plain) return search("find", text, pattern, init, plain) end
  function patterns.match(text, pattern, init) return search("match", text, pattern, init) end

  function patterns.gmatch(text, pattern, init)
    text, pattern = want_text(text, 1, "gmatch"), want_text(pattern, 2, "gmatch")
    local m, s, last = matcher(text, pattern), from_start(want_integer(init, 3, "gmatch", 1), #text), nil
    return function()
      while s <= #text + 1 do
        local e = match_at(m, s, 1)
        if e and e ~= last then
          local begin = s
          s, last = e, e
          return captures(m, begin, e, true)
        end
        s = s + 1
      end
      return nil
    end
  end

  local function filled_in(m, s, e, template)
    local pieces, place = {}, 1
    while place <= #template do
      local code = byte(template, place)
      if code ~= ESCAPE then
        local stop = find_plain(template, "%", place, true) or #template + 1
        pieces[#pieces + 1] = sub(template, place, stop - 1)
        place = stop
      else
        local letter = byte(template, place + 1)
        if letter == ESCAPE then
          pieces[#pieces + 1] = "%"
        elseif letter == 48 then
          pieces[#pieces + 1] = sub(m.text, s, e - 1)
        elseif letter and letter >= 49 and letter <= 57 then
          pieces[#pieces + 1] = real_tostring(capture(m, letter - 48, s, e))
        else
          fail("invalid use of '%' in replacement string")
        end
        place = place + 2
      end
    end
    return join(pieces)
  end

  local function replacement(m, s, e, with)
    local value
    if type(with) == "string" then return filled_in(m, s, e, with) end
    if type(with) == "table" then value = with[capture(m, 1, s, e)]
    else value = with(captures(m, s, e, true)) end
    if not value then return sub(m.text, s, e - 1) end
    if type(value) ~= "string" and type(value) ~= "number" then
      fail("invalid replacement value (a " .. type(value) .. ")")
    end
    return real_tostring(value)
  end

  function patterns.gsub(text, pattern, with, most)
    text, pattern = want_text(text, 1, "gsub"), want_text(pattern, 2, "gsub")
    if type(with) == "number" then with = real_tostring(with) end
    if type(with) ~= "string" and type(with) ~= "table" and type(with) ~= "function" then
      bad(3, "gsub", "string/function/table expected, got " .. kind_of(with))
    end
    most = want_integer(most, 4, "gsub", #text + 1)
    local m, p, anchored = matcher(text, pattern), 1, byte(pattern, 1) == CARET
    if anchored then p = 2 end
    local pieces, s, kept, last, count = {}, 1, 1, nil, 0
    while count < most do
      local e = match_at(m, s, p)
      if e and e ~= last then
        count = count + 1
        if kept < s then pieces[#pieces + 1] = sub(text, kept, s - 1) end
        pieces[#pieces + 1] = replacement(m, s, e, with)
        s, last, kept = e, e, e
      elseif s <= #text then
        s = s + 1
      else
        break
      end
      if anchored then break end
    end
    pieces[#pieces + 1] = sub(text, kept)
    return join(pieces), count
  end
end
