"""Exact rewritings of a model, chosen for speed or for what a runtime takes."""
