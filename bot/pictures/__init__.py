"""Pictures of members and results: fetched, kept, and worked on in child processes that decode them."""
