-- want: stopped
function install() for i = 1, 1e9 do env("NAME" .. i, ("v"):rep(1000)) end end
