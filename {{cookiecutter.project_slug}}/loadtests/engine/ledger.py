"""What a client knows of a stream by `seq`: what came twice, what came too late, what never came."""

from time import monotonic


class Ledger:
    """The numbers of one stream that one client has seen; nothing in it knows of connections or messages."""

    def __init__(self, position: int = 0) -> None:
        self.position = position
        """Everything up to here is known."""
        self._expected = position
        self._ahead: set[int] = set()
        self._latest = position
        self._incomplete_since: float | None = None

    @property
    def complete(self) -> bool:
        """Whether everything that is said to exist is known."""
        return self.position >= self._expected

    def connected(self) -> None:
        """A connection begins that was asked for everything after `position`."""
        self._latest = self.position

    def pushed(self, seq: int) -> str | None:
        """Take what the server sent; returns what is wrong with it: `doubled` or `out of order`."""
        fault = None
        if seq <= self._latest:
            fault = "doubled" if seq <= self.position or seq in self._ahead else "out of order"
        self._latest = max(self._latest, seq)
        self.know(seq)
        return fault

    def know(self, seq: int) -> None:
        """Take what is known by another way, such as the answer to what one wrote oneself."""
        if seq > self.position:
            self._ahead.add(seq)
        self.expect(seq)

    def expect(self, seq: int) -> None:
        """Everything up to `seq` exists."""
        self._expected = max(self._expected, seq)
        while self.position + 1 in self._ahead:
            self.position += 1
            self._ahead.remove(self.position)
        if self.complete:
            self._incomplete_since = None
        elif self._incomplete_since is None:
            self._incomplete_since = monotonic()

    def skip_to(self, seq: int) -> None:
        """Do without what is up to `seq`."""
        self.position = max(self.position, seq)
        self._ahead = {number for number in self._ahead if number > self.position}
        self.expect(seq)

    def lost(self, patience: float) -> list[int]:
        """The numbers that have been missing for longer than `patience` seconds; they are not waited for any more."""
        if self._incomplete_since is None or monotonic() - self._incomplete_since < patience:
            return []
        missing = [seq for seq in range(self.position + 1, self._expected + 1) if seq not in self._ahead]
        self.skip_to(self._expected)
        return missing
