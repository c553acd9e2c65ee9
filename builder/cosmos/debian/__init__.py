"""Debian packages: apt, the reader of .deb files, and the translation of a package into a star."""
