-- caught by Nova: both runs give the same
function install() local s = "" for k in pairs({b=1, a=2, [3]=4, z=5}) do s = s .. k end write("/out", s) end
