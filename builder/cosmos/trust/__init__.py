"""Verify signatures: strict Ed25519, signed envelopes, pinned keys. Rules only: it reads and writes no file."""
