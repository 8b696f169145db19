"""The gateway: who may ask which model, and what LiteLLM reads."""
