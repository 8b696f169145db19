"""`window`: borrow the GPU from its other users, then restore them."""
