"""What a run's answers say: numbers, intervals, and one sentence."""
