"""Who may ask at all, and how far they are trusted: blocks, challenges, segments."""
