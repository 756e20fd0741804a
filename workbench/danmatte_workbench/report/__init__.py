"""Reports of runs: JSON, HTML pages and tables on the terminal."""
