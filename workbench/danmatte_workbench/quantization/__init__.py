"""8-bit graphs: the options of quantizing, and what accuracy control compares by and keeps. NNCF is in `runtimes`."""
