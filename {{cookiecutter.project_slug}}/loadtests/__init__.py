"""Load tests with Locust: clients that speak the protocol, scenarios, shapes of load, and the levels they must keep."""
