"""Updates: deltas between releases, releases made again from a delta, and downloads of what is lacking alone."""
