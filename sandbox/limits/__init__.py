"""What Discord refuses: each module checks one kind of thing that a bot sends, and returns it as Discord stores it.

All of them check field by field, with `forms`.
"""
