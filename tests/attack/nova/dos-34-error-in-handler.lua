-- want: stopped
-- A handler that fails for ever does not.
function install()
  while true do pcall(xpcall, error, function(x) error(x) end) end
end
