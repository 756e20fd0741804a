"""Loads the service and measures it; each part is a module that runs on its own."""
