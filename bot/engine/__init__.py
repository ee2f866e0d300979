"""Where requests are run: what the bot needs of an engine, and the engines that there are."""
