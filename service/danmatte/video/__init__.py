"""Video: reading frames, detecting motion and edges, and stabilising masks over time."""
