"""One module per capability, named as its command is. They never import each other.

Each has `check(request, catalog)`, which raises a TaskError in words for the member; `group(request)`, equal for
requests that may run together; `run(requests, store, report)`, which reports one end for each of its requests; and
`too_large(request, catalog)`, the sentence for who asked for more than the memory holds.
"""
