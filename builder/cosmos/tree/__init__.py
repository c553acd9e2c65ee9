"""Trees of entries as values: their manifests, and the rules that merge layers."""
