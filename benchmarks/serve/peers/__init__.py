"""Other servers around the same model. Each runs in an environment that has the peer beside torch and this code.

They know no users: a request holds the history. So they do less than the gateway, which looks up a key, reads a
history, asks for suppressions and names the version.
"""
