"""Exact identities on weights, as plain NumPy arrays."""
