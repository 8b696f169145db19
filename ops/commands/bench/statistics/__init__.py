"""Statistics of a run's answers: numbers, intervals, and one sentence."""
