"""From the typed model registry to the texts that llama-swap and the download Job read."""
