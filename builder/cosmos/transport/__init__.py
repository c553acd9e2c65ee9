"""Carriers: they read or download the files of galaxies, from folders or by plain HTTP."""
