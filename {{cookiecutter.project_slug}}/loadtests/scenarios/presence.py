"""Who is there: users come to posts and go again, see each other do so, and signal that they type."""

from loadtests.engine.presence import ComesAndGoes


class Visitor(ComesAndGoes):
    """Stays for some ten seconds, and away for as long."""

    kind = "presence"
    visits = "comments/{place}"
