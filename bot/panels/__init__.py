"""How panels look that are about no job. What their buttons and menus do is their command's matter."""
