-- want: stopped
function install() for i = 1, 1e9 do write("/f" .. i, "") end end
