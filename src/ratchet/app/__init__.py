"""Composition: the only place that knows every room. One file for each process, so that none loads another's."""
