"""Load tests with Locust: `scenarios/` says what your clients do, `engine/` holds what they are made of."""
