"""Whether models fit a node: card, memory, disk and time."""
