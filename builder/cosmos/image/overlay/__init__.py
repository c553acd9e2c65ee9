"""The finished tree: the template, the stars' layers, what the finish script changes, the record of it all."""
