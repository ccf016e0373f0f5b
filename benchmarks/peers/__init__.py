"""What else pulls a directory into a database, each a program of its own in a virtual environment of its own.

They do less than the worker: no phone is read, no change is found or told, nothing is kept for the next time, and a
failed page begins everything anew.
"""
