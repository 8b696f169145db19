"""The command `drift`: compare the working tree with what runs, from four sources."""
