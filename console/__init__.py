"""The command `entra-sms`: for the people who run the system.

It reads the database, checks a tenant's access at Graph and puts requests on the queue. It writes nothing but tenants'
settings; directory data has one writer, the worker.
"""
