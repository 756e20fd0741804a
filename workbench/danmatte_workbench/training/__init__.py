"""Training of the published models: their architectures, initial weights, courses and export."""
