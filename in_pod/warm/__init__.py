"""Read the models into the page cache of the node that serves them."""
