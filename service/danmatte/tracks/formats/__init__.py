"""Track formats, one file each."""
