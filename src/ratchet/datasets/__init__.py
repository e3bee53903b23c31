"""Test cases: files in and out, duplicates, splits, and cases that a model writes."""
