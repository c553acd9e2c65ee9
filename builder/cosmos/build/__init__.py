"""From an image definition to a release that proves itself."""
