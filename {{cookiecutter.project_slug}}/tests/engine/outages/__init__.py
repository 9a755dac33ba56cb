"""Whoever dies meanwhile, nothing that was committed is lost."""
