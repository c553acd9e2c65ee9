"""Change every input of an image, one at a time: the build must refuse it, or say that it is another image."""
