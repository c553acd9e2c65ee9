-- want: stopped
function install() local t = {} for i = 1, 1e15 do t[i] = {i} end end
