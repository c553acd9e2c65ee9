-- want: failed
-- Variables that hold themselves are refused.
function install()
  local vars = {}
  vars.self = vars
  render("t", "/usr/t", vars)
end
