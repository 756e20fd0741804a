"""What runs in a process of its own, within limits, so that a crash, a hang or a leak harms nobody else."""
