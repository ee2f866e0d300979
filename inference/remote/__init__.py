"""Models of other servers: an engine of its own kind, which sends what is asked for over the network.

    __main__    the process: it has the keys, and no torch
    engine      takes jobs, as many at once as each server is to be sent, and reports of them
    words       what a server is told
    asking      one request to one server, by OpenAI's own client
    refusals    what a server's errors mean to members and to the operator
    bounds      how much is taken of what a server sends
    decoding    what came as a picture, read in a child process without anything worth having
    edits       a picture and its mask at the size that is painted, and back
    recipe      what made a picture
    sent        which jobs were sent: nothing is paid twice because something was killed

Nothing else in Easel's two halves sends anything to a server that is not Discord's.
"""
