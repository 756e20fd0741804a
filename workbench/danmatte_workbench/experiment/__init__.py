"""One run: which plans are tried, candidates cooked, compared and raced, and who wins."""
