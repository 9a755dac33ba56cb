"""One file each: who the clients are and what they do."""
