"""How bytes get here: carriers of galaxies (folders, plain HTTP), and Debian's packages through apt."""
