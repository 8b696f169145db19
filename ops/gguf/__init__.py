"""GGUF files: what their headers say, and tiny ones to try things with."""
