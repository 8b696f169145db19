"""A Hugging Face hub, and one on loopback."""
