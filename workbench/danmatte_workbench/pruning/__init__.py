"""Channels taken out of a graph where they save most time for what they cost."""
