"""Receives Graph's notifications and puts them on the queue; the only part of the system that the internet can reach.

It knows settings, messages and the broker, and keeps nothing: 202 means that the broker has confirmed.
"""
