"""GPU windows: borrow the GPU from its tenants and restore them."""
