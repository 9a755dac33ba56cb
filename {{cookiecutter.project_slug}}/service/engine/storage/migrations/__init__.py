"""The history of the engine's tables: a branch of its own, with a version table of its own."""
