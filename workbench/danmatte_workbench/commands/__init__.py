"""What ``workbench`` can be told to do, one file a command; heavy imports wait until it is told."""
