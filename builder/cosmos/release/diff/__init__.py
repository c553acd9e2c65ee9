"""Compare two images, releases, locks, folders or tar archives, and say which path differs in which way, and why."""
