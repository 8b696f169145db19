"""`up` and `down`: the whole way on this machine."""
