"""Releases: the gate that a candidate passes or doesn't."""
