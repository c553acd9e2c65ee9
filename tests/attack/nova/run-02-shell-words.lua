-- want: done
-- No text becomes a shell's.
function install()
  for _, words in ipairs{{"sh", "-c", "id"}, {"/bin/sh"}, {""}, {"env"}, {"../../bin/sh"}, {"\0"}} do
    if pcall(run, words) then breach("a program ran") end
  end
  for _, line in ipairs{"id", "sh -c id", "a;b", "$(id)", "`id`", "a && b", "a | b", "a > b", "", " "} do
    if pcall(run, line) then breach("a program ran: " .. line) end
  end
end
