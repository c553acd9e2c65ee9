"""Who may vouch for what: strict Ed25519, signed envelopes, pinned keys. Rules only: no file is read or written."""
