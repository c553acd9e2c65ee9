"""The nouns: every document that Cosmos reads or writes, parsed once into a thing that cannot be wrong."""
