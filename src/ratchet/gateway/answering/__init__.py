"""Getting an answer, from whichever target has one, and passing it on."""
