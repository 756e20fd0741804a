"""Video quality: how good a video looks, which faults it has, and when they occur."""
