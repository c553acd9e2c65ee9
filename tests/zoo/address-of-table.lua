-- caught by Nova: both runs give the same
function install() write("/out", tostring({}) .. tostring(print)) end
