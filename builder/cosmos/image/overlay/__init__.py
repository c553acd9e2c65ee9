"""The finished tree: the template, the stars' layers, the changes of the finish script, and the universe."""
