"""Computation of responses: admission, worker threads, masks and tensors. Independent of any transport."""
