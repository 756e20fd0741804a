"""The larger commands of `danmatte`, one module each. They import their libraries when they run."""
