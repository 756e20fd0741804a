"""Distillation: training a smaller graph, the student, on the outputs of the graph that it was made from."""
