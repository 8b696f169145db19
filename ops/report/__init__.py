"""How a command shows what it found: terminal, Markdown, JSON; harmless and without secrets."""
