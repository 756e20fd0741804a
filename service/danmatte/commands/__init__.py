"""Commands of `danmatte`, one file each: the flags, and what runs them. They import what they need when they run."""
