"""`weights`: a volume against the lock."""
