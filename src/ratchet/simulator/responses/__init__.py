"""OpenAI's responses as a wire format of its own: items instead of messages, and answers that are kept."""
