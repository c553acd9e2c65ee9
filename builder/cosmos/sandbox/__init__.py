"""Confinement: workers that can only compute and send messages, and programs in bubblewrap on a tree of data."""
