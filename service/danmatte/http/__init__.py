"""HTTP components shared by all protocols: the listener, bodies, queries, errors, API keys and telemetry."""
