"""Cosmos builds offline system images from signed packages, bit for bit the same each time."""
