"""HTTP plumbing that every protocol shares: the listener, bodies, queries, errors, keys, telemetry."""
