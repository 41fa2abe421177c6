"""The nouns and the rules. Pure: no input or output, and nothing of ours is imported here."""
