"""What the workflows call; the standard library alone where it runs with a token."""
