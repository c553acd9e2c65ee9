-- want: stopped
function install() local s = ("x"):rep(2^20) for i = 1, 1e9 do write("/f" .. i % 3, s) end end
