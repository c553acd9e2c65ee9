-- want: done
-- The sandbox's own code must not use what a script can replace.
function install()
  for _, name in ipairs{"type", "error", "pcall", "ipairs", "pairs", "select", "tostring", "rawget", "next", "setmetatable"} do
    _G[name] = function() breach(name .. " of the script was called by the sandbox") end
  end
  mkdir("/a") mkdir("/a/b")
  local ok = exists("/a")
  if not ok then breach("exists changed") end
  filemap{"/a", ["/a/**"] = "0755"}
  log("x", {}, glob("/*")[1])
end
