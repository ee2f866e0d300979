"""The member API from the other side: for scripts, tests and benchmarks, which act as a member through it."""
