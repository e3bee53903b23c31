"""Trust: segments of users, what speaks for and against each of them, and how far the gateway goes along."""
