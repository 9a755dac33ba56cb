"""What one process consists of, and what keeps it going until it has drained."""
