"""What a service is tested with: a database, the running service, clients, a browser. `plugin` lists the fixtures."""
