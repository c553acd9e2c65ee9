"""Build a release again, cold and under other circumstances, and name the culprit if the result differs."""
