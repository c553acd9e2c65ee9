"""Debian's packages: apt, the reader of .deb files, and what a package says, in a star's words."""
