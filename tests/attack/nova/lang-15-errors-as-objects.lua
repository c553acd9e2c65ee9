-- want: done
-- What pcall gives for a verb's error is text, never an object of the host.
function install()
  local calls = {
    function() copy("no", "/x") end, function() run{"ls"} end, function() mkdir("..") end, function() chmod("/x", {}) end,
    function() glob("/a**") end, function() setcap("/x", "\255") end, function() render("x", "/y", {}) end,
    function() write("/" .. ("x"):rep(70000), "") end, function() copy() end, function() env("") end,
    function() write("a\0b", "c") end, function() mknod("/x", "\255", 1, 2) end, function() exists(("a/"):rep(100)) end,
  }
  for place, action in ipairs(calls) do
    local ok, problem = pcall(action)
    if ok then breach("call " .. place .. " went through") end
    if type(problem) ~= "string" then breach("call " .. place .. " gave a " .. type(problem)) end
    if problem:find("Traceback") or problem:find("%.py") or problem:find("object at") then breach(problem) end
  end
end
