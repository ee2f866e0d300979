"""What a test asks of this Discord: to misbehave towards the bot, and what the bot has asked of it."""
