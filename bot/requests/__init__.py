"""What members ask for becomes a request here: from words and options to what the engine can run."""
