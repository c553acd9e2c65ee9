"""How bytes get here: carriers of galaxies: folders, plain HTTP."""
