-- want: done
-- utf8's functions refuse what is no text.
function install()
  for _, text in ipairs{"\255", "\237\160\128", "\244\144\128\128", "\192\128", ("\240"):rep(1000)} do
    if utf8.len(text) then breach("counted what is no text") end
    pcall(utf8.codepoint, text, 1, -1) pcall(function() for _ in utf8.codes(text) do end end)
  end
  if pcall(utf8.char, -1) or pcall(utf8.char, 2 ^ 31) then breach("a character out of range") end
  if pcall(utf8.offset, "abc", 1, 100) then breach("an offset out of range") end
end
