"""What candidates are measured by."""
