"""The restricted Lua 5.4 runtime of install scripts: upstream's verbs on a virtual staging root."""
