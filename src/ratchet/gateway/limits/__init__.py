"""Limits: how much of what somebody may ask for, and how fast."""
