"""Whatever is around operations: the team's own, traces and error reports, by real receivers on the wire."""
