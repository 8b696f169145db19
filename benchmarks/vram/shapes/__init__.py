"""Shapes of published vision models: keys and tensors of their GGUF files, without data."""
