"""The stacks: each one wires constructs, from settings, into something that is deployed."""
