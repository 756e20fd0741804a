"""Libraries of videos: a track for each video, made in parts on one or many machines; any machine can resume a run.

Listing the target is enough to know what is finished: its files are written atomically, and tracks never overwritten.
"""
