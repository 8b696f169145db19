"""`doctor`: what this machine has of the programs that the repository can use."""
