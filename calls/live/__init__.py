"""Live updates: server-sent events from a small ASGI process, fed by PostgreSQL's LISTEN/NOTIFY.

An event says which call changed and nothing of what; the page fetches that as always. `listen` hears the database,
`hub` hands on to whom it concerns, `door` says who is listening, `app` speaks HTTP.
"""
