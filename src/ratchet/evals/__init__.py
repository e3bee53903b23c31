"""Tests of prompts, models and apps: what is tested, how runs go, what two runs say about each other."""
