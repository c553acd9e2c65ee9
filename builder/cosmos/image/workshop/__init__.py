"""Make each star's layer: stage stars in parallel, pack each layer once, find it in the store the next time."""
