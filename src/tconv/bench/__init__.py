"""Timing the engine against its peers, each in a separate process."""
