"""The keys on this machine: secret keys under a passphrase, and the trust anchors that the operator accepted."""
