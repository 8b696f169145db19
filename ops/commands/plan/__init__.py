"""What a merge would do, told from two syntheses: `python -m ops plan`.

revision -> side (a revision's objects, models and budget) -> comparison -> document -> Markdown,
terminal or JSON. Values of the tree pass through safe_text on their way out, whatever the way.
"""
