"""The page of a release: `cosmos report`."""
