"""One optimization run: planning trials, building, comparing and racing candidates, and choosing the winner."""
