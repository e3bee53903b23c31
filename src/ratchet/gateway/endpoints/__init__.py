"""The HTTP side: what can be asked for, and what each of it does."""
