"""What every floor stands on: the words of the wire, problems, endings, settings, metrics."""
