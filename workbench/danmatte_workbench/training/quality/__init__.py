"""The quality network: degraded pictures with labels, its architecture, and how it is trained and exported."""
