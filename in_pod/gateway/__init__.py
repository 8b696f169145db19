"""LiteLLM's hooks: who may ask which model, and whether it fits the card right now."""
