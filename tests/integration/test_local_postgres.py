"""The private PostgreSQL cluster of the tests, and the databases they get from it."""

from sqlalchemy import create_engine, inspect


def test_the_database_of_a_test_is_migrated(database_url: str) -> None:
    engine = create_engine(database_url)
    assert "contacts" in inspect(engine).get_table_names()
    engine.dispose()


def test_an_empty_database_has_no_tables(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
