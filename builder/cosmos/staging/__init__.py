"""What builder and device both do to one star: fetch it, verify it, unpack it, run its script."""
