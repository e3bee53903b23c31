"""Azure's way of serving OpenAI's models: deployments in the path, another key header, its own errors."""
