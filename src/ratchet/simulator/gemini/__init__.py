"""Google's wire format for Gemini: generated content, token counts, embeddings, models."""
