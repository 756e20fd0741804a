"""What the workbench writes and the service reads: a version's manifest, geometry, and the host it runs on."""
