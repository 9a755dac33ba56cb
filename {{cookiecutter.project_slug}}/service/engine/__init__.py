"""The engine: ours, complete without any application. Never edit it: `cruft update` brings its improvements.

Its floors, the lowest first; each imports from those below it only, and nothing from outside this folder:
foundation, observability, storage, auth, streams, link, delivery, process, connection, endpoints, documents,
application.
"""
