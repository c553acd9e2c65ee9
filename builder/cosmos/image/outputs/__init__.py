"""The files of a release: one module a format, and the table of them all (`formats`)."""
