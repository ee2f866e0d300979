"""What the operator does about models: `python -m inference models …`. An engine that serves uses nothing of it."""
