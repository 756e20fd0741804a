"""Measurements of the service under load; each part is a module with a function `run`."""
