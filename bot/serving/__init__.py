"""Easel as a server of OpenAI's images API: programs ask by a member's key, as that member would in Discord.

Whatever holds for the member in the channel of the key holds for what is asked by it; from `admission` on there is
nothing else in it than in a command's job.
"""
