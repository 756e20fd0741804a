"""The commands of `workbench`, one module each. Heavy libraries are imported only when a command runs."""
