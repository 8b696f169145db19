"""The command `plan`: compare two syntheses to show what a merge would change.

revision -> side (a revision's objects, models and budget) -> comparison -> document -> Markdown,
terminal or JSON. Every output passes the tree's values through safe_text.
"""
