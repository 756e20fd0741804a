"""Whole libraries of videos: a track for each, made in parts, on many machines, resumable anywhere.

What is there already is known by listing the target alone; every file in it is written whole, and never over another.
"""
