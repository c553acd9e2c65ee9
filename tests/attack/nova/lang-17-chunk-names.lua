-- want: failed
-- A chunk that takes the sandbox's name, or a name of escapes, may not hide where an error comes from, or drive a terminal.
function install()
  local chunk = load("error('\27]0;owned\7')", "=nova")
  pcall(chunk)
  load("error('\\27[2J\\27[31mnot an error\\r\\n')", "=\27[31m")()
end
