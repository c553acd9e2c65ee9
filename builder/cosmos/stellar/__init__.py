"""The actions of the maintainer's program: make, check, sign and index stars and galaxies."""
