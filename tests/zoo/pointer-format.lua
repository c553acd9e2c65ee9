-- caught by Nova: refused
function install() write("/out", string.format("%p", {})) end
