"""How one graph runs best on this machine, and how it would run on older ones."""
