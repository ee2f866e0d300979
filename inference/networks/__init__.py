"""One network each: what Easel asks of it, over the library that runs it."""
