-- want: failed
-- Verbs work while the script loads, and nothing is left over when that fails.
write("/etc/early", "x")
error("while loading")
