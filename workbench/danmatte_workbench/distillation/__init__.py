"""Distillation: a smaller graph, the student, taught by the graph that it was cut out of."""
