"""Teaching a smaller graph by the one that it was cut out of."""
