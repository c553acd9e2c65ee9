"""Trees of entries as values: what is in them, how they are laid over one another, and what proves them."""
