"""The quality network: degraded pictures with labels, architecture, training and export."""
