"""The report of a photo benchmark: one HTML file, without a script and without a network."""
