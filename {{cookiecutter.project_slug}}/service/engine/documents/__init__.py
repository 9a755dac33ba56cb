"""What describes the service: OpenAPI, AsyncAPI, their pages and the client for browsers."""
