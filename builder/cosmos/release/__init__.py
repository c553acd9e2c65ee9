"""A finished release: what describes and signs it, and what judges it later, with no galaxy at hand."""
