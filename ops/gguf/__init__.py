"""Read headers of GGUF files, and write tiny models for tests and demos."""
