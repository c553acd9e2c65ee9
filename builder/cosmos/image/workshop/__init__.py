"""Each star's layer: staged in parallel, packed once, and found again in the store."""
