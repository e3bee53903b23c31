"""Judges: scorers that ask a model. What they ask is data (prompts.py), versioned by a hash; how, is in asking.py."""
