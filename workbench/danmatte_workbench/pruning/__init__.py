"""Pruning: removing the channels that save most time for the accuracy that they cost, and refitting the others."""
