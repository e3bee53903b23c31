"""Frozen nouns that every room shares. Nothing here does I/O."""
