-- want: stopped
function install() local s = "x" while true do s = s .. s end end
