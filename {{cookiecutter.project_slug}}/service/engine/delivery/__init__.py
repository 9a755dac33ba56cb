"""From a commit to every subscriber of every process, in order, none lost and none twice."""
