"""The libraries that do the heavy work, each imported in one file only, its exceptions translated there."""
