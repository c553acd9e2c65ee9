-- want: failed
-- install must be a function, not something that can be called.
install = setmetatable({}, {__call = function() breach("called") end})
