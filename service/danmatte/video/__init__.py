"""Frames of a video and masks over time: reading, motion, edges, stabilising."""
