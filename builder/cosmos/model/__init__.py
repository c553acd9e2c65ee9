"""Every document that Cosmos reads or writes, each parsed once into a type that is always valid."""
