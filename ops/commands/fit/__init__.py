"""`fit`: does the registry fit the card, and what if."""
