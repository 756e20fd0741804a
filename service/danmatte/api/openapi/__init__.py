"""The description of everything that is spoken over HTTP: OpenAPI 3.1, and a page to try it on."""
