"""Everything the console reads from the database.

A person who left the directory is erased from `contacts`, while edges to the id may stay: a membership of a person
counts only while the person is in the book.
"""
