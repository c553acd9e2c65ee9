"""The steps that builder and device both take for one star: fetch it, verify it, unpack it, run its script."""
