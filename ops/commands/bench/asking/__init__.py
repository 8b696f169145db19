"""The questions: which, in what order, in how much time, and how answers are read."""
