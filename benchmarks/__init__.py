"""What `make bench` measures; each figure is printed as a table row and written to build/bench.json."""
