"""What may be said, how often, and what is answered."""
