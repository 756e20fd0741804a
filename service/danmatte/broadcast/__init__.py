"""`danmatte live`, and masks in HLS: a stream comes in, and masks go out beside it or within it."""
