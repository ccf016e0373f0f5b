"""The client of Microsoft Graph (v1.0, application permissions): tokens, delta pages, objects, subscriptions.

Raw JSON, no SDK: the SDKs hide `members@delta`. Every failure leaves here as one of `common.errors`, named by the
reaction that it demands. Nothing is retried here except a 401, once: waiting is the queue's work, not a thread's.
"""
