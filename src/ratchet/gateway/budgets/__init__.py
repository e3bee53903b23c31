"""Budgets: money over a calendar period, set aside before a provider is asked."""
