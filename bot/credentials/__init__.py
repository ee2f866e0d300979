"""Content Credentials: what says, signed, where a picture that goes out comes from, and what came in with an upload."""
