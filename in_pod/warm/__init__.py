"""Read the models into the page cache of their node."""
