-- One script that uses what could differ between machines: every verb, arithmetic, text of numbers, order, bytes.
-- Left out is what does differ (docs/nova.md, known gaps).
filemap{"/usr/**", "/etc/**", "/dev/**"}

local lines = {}
local function note(name, ...)
  local words = {}
  for place, value in ipairs({...}) do words[place] = tostring(value) end
  lines[#lines + 1] = name .. " " .. table.concat(words, " ")
end

local function numbers()
  note("not a number", 0/0, -(0/0), 1/0 - 1/0, math.sqrt(-1), 0/0 == 0/0)
  note("infinite", 1/0, -1/0, string.format("%g %a", 1/0, -1/0))
  note("hex", string.format("%a %a %a", 0.1, -0.0, 5e-324))
  note("zero", -0.0, 0.0, 0 // -1.0, -0.0 % 1)
  note("rounded", 1e15, 1e16, 0.1 + 0.2, 1/3, 2^53, 2^63, -2^63, 1e308 * 10)
  note("integers", math.maxinteger + 1 == math.mininteger, math.mininteger // -1, math.mininteger % -1, 7 // -2, -7 % 3)
  note("converted", math.tointeger(2^53), math.tointeger(2^63) == nil, math.floor(-2^63), math.ult(1, -1), 3.7 // 1)
  note("shifted", 1 << 63, 1 << 64, -1 >> 1, 1 << -1, ~0)
  note("not fused", string.format("%a %a", 0.1 * 0.1 - 0.01, 1.1 * 1.1 + 1e-17))
  note("roots", string.format("%a %a %a", math.sqrt(2), math.fmod(7.7, 0.3), -7.7 % 0.3))
end

local function texts()
  local bytes = {}
  for number = 0, 255 do bytes[#bytes + 1] = string.char(number) end
  bytes = table.concat(bytes)
  note("classes", #bytes:gsub("%a", ""), #bytes:gsub("%c", ""), #bytes:gsub("%p", ""), #bytes:gsub("[\x80-\xff]", ""))
  note("compared", "\x7f" < "\x80", "\xff" < "a", "a" < "B", "" < "\0", "a\0b" < "a\0c")
  note("sizes", string.packsize("bBhHiIlLjJTfdn"), string.packsize("!i1i8"), #string.pack("z", "x"))
  note("order", (string.pack("=I4", 1):byte(1)), (string.pack(">i2", -2):byte(1, 2)))
  note("signed", string.unpack("b", "\xff"), string.unpack("B", "\xff"), string.unpack("<i3", "\xfe\xff\xff"))
  note("utf8", utf8.char(0x20AC, 0x10FFFF):byte(1, -1))
  local keys = {}
  for key in pairs({b = 1, a = 2, [3] = 3, [1.5] = 4, ["\xff"] = 5, Z = 6}) do keys[#keys + 1] = key end
  note("keys", table.concat(keys, " "):byte(1, -1))
end

function install()
  numbers()
  texts()
  write("/etc/lines", table.concat(lines, "\n") .. "\n")
  copy("bin/tool", "/usr/bin/tool")
  copy("share/", "/usr/share/tool/")
  symlink("tool", "/usr/bin/t")
  mkdir("/usr/lib/tool", "1777")
  chmod("/usr/bin/tool", "4755")
  chown("/usr/share/tool", 7, 8)
  setcap("/usr/bin/tool", "cap_net_raw+ep")
  mknod("/dev/null", "c", 1, 3, "0666")
  render("greeting", "/etc/greeting", {name = "x", number = 15, list = {1, 2, 3}, yes = true})
  log(exists("/usr/lib/libdep.so"), exists("/usr/lib/none"), table.concat(glob("/usr/**"), " "))
  env("NAME", "value")
  log(env("NAME"))
end
