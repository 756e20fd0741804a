"""Pruning: channels taken out of a graph where they save most time for what they cost, and the rest fitted anew."""
