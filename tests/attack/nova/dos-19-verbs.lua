-- want: stopped
function install() while true do exists("/a/b/c/d/e/f/g/h") end end
