"""Whether models fit a node: VRAM, host memory, disk and load time."""
