"""Servers that stand in for the far ends of sensorqd: Pub/Sub, OAuth, Nature Remo, MongoDB, and the network between.

Each module is a program (``python3 tests/services/pubsub.py --help``) and a library (``from services.pubsub import
PubSub``, with ``tests/`` on ``sys.path``). All listen on loopback only.
"""
