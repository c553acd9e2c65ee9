"""What `cosmos` does on a running system, or on one below `--root`: install, verify, freeze, show."""
