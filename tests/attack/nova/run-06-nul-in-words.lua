-- want: failed
-- programs: allowed
-- A word that no program can be given is the script's error, not a crash.
function install()
  run{"sh", "a\0b"}
end
