"""Test-driven development for LLM applications."""

__all__ = ["__version__"]

__version__ = "0.1.0"
