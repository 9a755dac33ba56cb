"""A small application for the engine's tests: `python -m tests.engine.application serve`.

Rooms with entries, letters to users, clubs with members, and endpoints with the bugs that a team may write.
"""
