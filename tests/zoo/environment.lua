-- caught by Nova: both runs give the same
function install() write("/out", tostring(env("HOME")) .. tostring(env("USER"))) end
