"""Ask llama-server what it will take of a card, on a machine without one."""
