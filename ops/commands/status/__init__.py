"""`status`: what the exporter sees, in the terminal."""
