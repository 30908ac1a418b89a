"""Timing the engine against its peers, each in a process of its own."""
