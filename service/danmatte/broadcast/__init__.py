"""`danmatte live`, and masks in HLS: masks of an incoming stream, written beside it or embedded in it."""
