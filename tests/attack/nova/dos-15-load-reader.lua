-- want: stopped
-- A reader that never ends.
function install() while true do load(function() return " " end) end end
