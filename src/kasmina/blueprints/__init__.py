"""The modules that grow in slots: one class a file, one yaml in ``conf/blueprint`` a name.

A blueprint is called with a ``Site`` and keyword-only options, names in ``kinds`` the features
that it transforms, and builds a module whose output has the shape of its input and equals it at
birth. Nothing need be inherited; ``kasmina.contract`` checks the whole agreement.
"""
