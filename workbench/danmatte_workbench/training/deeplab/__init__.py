"""The default network: its architecture, initial weights, training and export."""
