"""PostgreSQL: one operation, one session; the tables, and the history of the engine's own."""
