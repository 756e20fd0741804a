"""Benchmarks of graphs: runtime settings, layers, and older instruction sets."""
