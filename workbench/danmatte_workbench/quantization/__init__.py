"""8-bit graphs: NNCF and its options, and what accuracy control compares by."""
