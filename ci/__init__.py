"""Programs of the workflows; those that run with a token use the standard library alone."""
