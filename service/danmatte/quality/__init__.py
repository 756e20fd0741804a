"""Video quality: how good a video looks, what harms it, and when."""
