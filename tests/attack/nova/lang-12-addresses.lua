-- want: done
-- Addresses would tell of the builder's memory, and differ from run to run.
function install()
  local values = {{}, print, setmetatable({}, {}), string.rep, copy, load("return 1")}
  for _, value in ipairs(values) do
    for _, text in ipairs{tostring(value), string.format("%s", value), ("%10s"):format(value)} do
      if text:find("0x") or text:find("%x%x%x%x%x%x") then breach(text) end
    end
  end
  if pcall(string.format, "%p", {}) or pcall(string.format, "%-20p", {}) or pcall(string.format, "%%%p", {}) then
    breach("%p")
  end
  local ok, problem = pcall(function() return {} < {} end)
  if problem:find("0x") then breach(problem) end
  ok, problem = pcall(error, {})
  if tostring(problem):find("0x") then breach("address of an error") end
end
