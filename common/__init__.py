"""What the processes share: settings, messages, the broker, the database, Graph, phones and secrets.

Nothing in here imports `webhook`, `worker` or `console`, and nothing opens a file, a socket or a clock at import.
"""

__version__ = "0.1.0"
