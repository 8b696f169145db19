"""Download the GGUF files of a plan to a volume."""
