"""What this machine holds of keys: secret keys under a passphrase, and the trust anchors that its operator accepted."""
