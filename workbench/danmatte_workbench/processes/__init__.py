"""Child processes with limits, so that a crash, a hang or a memory leak in one doesn't affect the parent."""
