"""How many cores a number of streams needs: the service measured, simulated, planned, and the plan checked."""
