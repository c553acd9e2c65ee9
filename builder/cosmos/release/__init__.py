"""A finished release: describe it, sign it, and verify it later. No module here needs a galaxy."""
