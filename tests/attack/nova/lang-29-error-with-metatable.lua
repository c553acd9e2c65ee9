-- want: failed
-- An error object with __tostring does not run code when it is shown.
function install()
  error(setmetatable({}, {__tostring = function() breach("ran after the end") end, __gc = nil}))
end
