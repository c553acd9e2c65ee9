"""From an image definition to a release: `cosmos freeze` and `cosmos build`."""
