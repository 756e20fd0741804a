"""The default model: its architecture, where its weights start, and how they are trained and exported."""
