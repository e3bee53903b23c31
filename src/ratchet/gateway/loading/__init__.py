"""From settings, keys and prompts to a snapshot, anew whenever one of them changes."""
