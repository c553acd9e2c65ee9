-- want: stopped
-- Each look into a dependency's layer is kept in the receipt.
function install() for i = 1, 1e9 do exists("/usr/lib/" .. i) end end
