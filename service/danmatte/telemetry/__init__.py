"""What is counted, timed and written down about a server's work."""
