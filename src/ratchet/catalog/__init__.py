"""What is known about models: prices now; facts for choosing a model later."""
