"""Local services for newcomers, the demo and the tests: a private RabbitMQ node and a private PostgreSQL cluster.

Everything lives under `var/` of this clone, listens on loopback at ports chosen for the occasion, and ends with the
process that started it. Nothing in here is part of the product, and nothing in here imports the product.
`packages`, `venv` and `leftovers` need nothing but Python, because they work before the virtual environment exists.
"""
