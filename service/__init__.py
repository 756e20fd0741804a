"""The service: frames in, person masks out, over HTTP."""
