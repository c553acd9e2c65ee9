-- caught by Nova: refused
function install() write("/out", tostring(math.random())) end
