#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A subscriber as one writes it for cron, as a peer of the benchmark: pull, insert_one() for each message, acknowledge.

usage: tests/bench/run drain --peer 'PYTHON tests/bench/peers/script.py [--pull N] [--keep]'

Every turn is what cron would start: new clients, one pull, one document after the other. The interpreter and its
modules stay, which is kinder than cron.
--keep keeps the clients, too. It needs google-cloud-pubsub and pymongo (tests/requirements.txt has both).
"""

import argparse
import json
import os

import pymongo
from google.api_core import exceptions
from google.cloud import pubsub_v1


def turn(subscriber, collection, path, count):
    try:
        response = subscriber.pull(subscription=path, max_messages=count, timeout=10)
    except exceptions.DeadlineExceeded:
        return
    done = []
    for received in response.received_messages:
        collection.insert_one(json.loads(received.message.data))
        done.append(received.ack_id)
    if done:
        subscriber.acknowledge(subscription=path, ack_ids=done)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--pull", type=int, default=100, metavar="N", help="messages a pull, at most (default: %(default)s)"
    )
    options.add_argument("--keep", action="store_true", help="keep the clients from turn to turn")
    args = options.parse_args()
    env = os.environ
    path = f"projects/{env['BENCH_PROJECT']}/subscriptions/{env['BENCH_SUBSCRIPTION']}"
    while True:
        with (
            pubsub_v1.SubscriberClient() as subscriber,
            pymongo.MongoClient(env["BENCH_MONGODB"], w="majority", journal=True) as database,
        ):
            collection = database[env["BENCH_DATABASE"]][env["BENCH_COLLECTION"]]
            turn(subscriber, collection, path, args.pull)
            while args.keep:
                turn(subscriber, collection, path, args.pull)


if __name__ == "__main__":
    main()
