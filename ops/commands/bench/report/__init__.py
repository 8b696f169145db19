"""The report of a photo benchmark: one HTML file without script or network access."""
