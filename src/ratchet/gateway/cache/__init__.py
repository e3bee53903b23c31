"""Answers that are there already: the same request asked again, and (where a route wants it) nearly the same."""
