"""One client's connection: what the engine knows of it, and what an endpoint's author is given."""
