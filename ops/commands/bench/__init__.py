"""Choose the model that picks the owner's photos best, measured on the owner's own album."""
