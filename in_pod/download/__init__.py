"""Fill a volume with exactly the GGUF files that a plan names."""
