"""OpenAPI 3.1 description of the HTTP APIs, and an interactive page for it."""
