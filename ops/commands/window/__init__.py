"""`python -m ops window`: the card for a while, and back to whom it was taken from."""
