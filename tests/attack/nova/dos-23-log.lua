-- want: stopped
function install() local s = ("x"):rep(1000) while true do log(s) end end
