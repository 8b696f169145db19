"""`up`: the whole deployment on this machine."""
