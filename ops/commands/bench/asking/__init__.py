"""The questions: what is asked, in which order, in how much time, and how answers are read."""
