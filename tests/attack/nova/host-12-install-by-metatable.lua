-- want: failed
-- install is looked for in the script's globals themselves.
setmetatable(_G, {__index = function(_, name) if name == "install" then return function() breach("called") end end end})
