"""A developer's machine: what is there, what other tools have left, what is seen and typed in the first minutes."""
