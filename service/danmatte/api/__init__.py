"""What is spoken over the wire, one file a protocol."""
