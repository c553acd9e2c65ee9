-- want: stopped
function install() while true do end end
