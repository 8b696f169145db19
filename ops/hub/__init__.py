"""Clients of a Hugging Face hub, and a hub on loopback."""
