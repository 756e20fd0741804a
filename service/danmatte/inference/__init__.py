"""From a request to an answer: admission, threads, masks and tensors. Knows no transport."""
