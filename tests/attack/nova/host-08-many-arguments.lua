-- want: done
-- A verb with thousands of arguments is refused before they are sent.
function install()
  local many = {}
  for i = 1, 5000 do many[i] = "x" end
  for _, verb in ipairs{copy, write, log, exists} do
    if verb ~= log and pcall(verb, table.unpack(many)) then breach("took 5000 arguments") end
  end
  if pcall(run, many) then breach("took 5000 words") end
end
