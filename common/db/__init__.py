"""The database: tables, engine, migrations. PostgreSQL in production, SQLite (WAL) embedded; the same code on both."""
