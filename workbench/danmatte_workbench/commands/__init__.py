"""The commands of `workbench`, one file each. They import heavy libraries only when they run."""
