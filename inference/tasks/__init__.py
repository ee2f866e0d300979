"""One module per capability, named as its command is. They never import each other.

Each has `check(request, catalog)`, which raises a TaskError in words for the member; `run(requests, store, report)`,
which gets requests of one `pass_key` and reports one end for each; and `too_large(request, catalog)`, the sentence
for who asked for more than the memory holds.
"""
