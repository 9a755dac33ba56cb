"""The database that is there: other people's servers, poolers, addresses and habits."""
