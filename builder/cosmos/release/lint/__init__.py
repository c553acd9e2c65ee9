"""The ship guard: find what an image should not be shipped with."""
