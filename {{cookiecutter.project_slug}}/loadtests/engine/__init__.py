"""What load tests are made of: clients, measures, shapes of load, the gate, and scenarios that need no domain."""
