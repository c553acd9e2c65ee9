"""Stand-ins for the outside world in tests; each fake and its real twin pass one conformance test."""
