"""What the maintainer's program does: make, check, sign and index stars and galaxies."""
