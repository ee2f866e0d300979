"""What is broken, a module for each kind: its functions make a `Trial`, break it, and hand back its `Verdict`."""
