"""What the command line starts: the demo, the bot beside it, and one command as a member."""
