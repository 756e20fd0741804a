"""One run: which trials are planned, how candidates are built, compared and raced, and which one wins."""
