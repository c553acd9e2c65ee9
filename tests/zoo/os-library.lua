-- caught by Nova: refused
function install() write("/out", os.date()) end
