"""Show a command's result on a terminal, in Markdown or as JSON, escaped and redacted."""
