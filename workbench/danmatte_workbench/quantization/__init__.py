"""8-bit graphs: the options of quantization, and the figures for accuracy control. NNCF is in `runtimes`."""
