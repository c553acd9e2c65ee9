"""Confinement: workers that can only compute and talk, and programs in bubblewrap on a tree of data."""
