"""What goes between the bot and this process: batches in, events and pictures out."""
