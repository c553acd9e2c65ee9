-- want: syntax
function install(
