"""How pictures say where they come from: a watermark, metadata. What is signed is the bot's affair."""
