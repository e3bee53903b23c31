"""What operators and their webhooks are told."""
