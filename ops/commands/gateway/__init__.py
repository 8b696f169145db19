"""Make, rotate and list the consumers' keys, and write what an existing LiteLLM mounts."""
