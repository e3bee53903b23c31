"""OpenAI's wire formats: chat completions, embeddings, models."""
