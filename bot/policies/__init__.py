"""What the operator, a server and a channel allow, and the one rule that is asked of every request.

    folding     texts as readers see them, whatever signs they are written in
    wordlists   lists of words, and where a text has one of them
    minors      what protects minors: built in, and under no setting
    texts       what of a request is words
    settings    the kinds of settings: how each is read, narrowed and shown
    policy      all settings, a field each, and what they come to at a place
    operator    the operator's own, from a file
    problem     the rule
    kept        what moderators have set: its SQL, and the policy of every place

Nothing here knows Discord. How moderators change it is in `panels`.
"""
