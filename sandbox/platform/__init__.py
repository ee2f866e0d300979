"""What happens on this Discord: messages, interactions, commands, channels that come and go, and who is told of it."""
