-- want: done
-- Values with metamethods may not confuse a verb: they never get past the check of types.
function install()
  local sly = setmetatable({}, {
    __tostring = function() return "/etc/passwd" end, __name = "string", __index = function() return "/x" end,
    __len = function() return 1 end, __concat = function() return "/x" end, __eq = function() return true end,
    __metatable = "locked", __call = function() return "/x" end,
  })
  for _, verb in ipairs{"write", "copy", "mkdir", "symlink", "chmod", "exists", "glob", "setcap", "mknod", "env", "render"} do
    if pcall(_G[verb], sly, sly, sly) then breach(verb .. " took a table") end
    if pcall(_G[verb], print, print) then breach(verb .. " took a function") end
  end
  if pcall(run, sly) then breach("run took a table that is none") end
end
