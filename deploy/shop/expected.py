#!/usr/bin/env python3
"""What the shop's views must hold, worked out from the events alone; knows nothing of Evgrid.

  expected.py EVENTS.ndjson... --keys VIEW             every key of the view's stream, "key<TAB>partition key" a line
  expected.py EVENTS.ndjson... --compare VIEW < ROWS   ROWS: NDJSON {"key": ..., "state": {...} or null} as answered;
                                                       prints "VIEW: N entries equal", or the differences (status 1)

Members of a state that begin with an underscore are the grid's own (times) and are not compared."""
import argparse
import json
import sys

STREAMS = {"customers": "Customer", "products": "Product", "orders": "Order", "payments": "Payment"}


def put(state, data):
    return dict(data)


def merge(state, data):
    return None if state is None else {**state, **data}


def customer_status(state, data):
    return None if state is None else {**state, "status": data["newStatus"]}


def stock(available, reserved):
    def move(state, data):
        if state is None:
            return None
        state = dict(state)
        state["available"] += available * data["quantity"]
        state["reserved"] += reserved * data["quantity"]
        return state
    return move


def reservation_failed(state, data):
    return None if state is None else {**state, "lastFailure": data["lastFailure"]}


def cancelled(state, data):
    return None


def refunded(state, data):
    return None if state is None else {**state, "status": "REFUNDED", "refunded": state["refunded"] + data["amount"]}


RULES = {
    "CustomerCreated": put, "CustomerUpdated": merge, "CustomerStatusChanged": customer_status,
    "ProductCreated": put, "StockReserved": stock(-1, 1), "StockReleased": stock(1, -1),
    "StockReplenished": stock(1, 0), "StockReservationFailed": reservation_failed,
    "OrderCreated": put, "OrderConfirmed": merge, "OrderCancelled": cancelled,
    "PaymentProcessed": put, "PaymentFailed": put, "PaymentRefunded": refunded,
}


def fold(paths, stream):
    """key -> (partition key, state or None)"""
    entities = {}
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                if event["stream"] != stream:
                    continue
                key = event["subject"]
                state = entities.get(key, (None, None))[1]
                state = RULES[event["type"]](state, event["data"])
                entities[key] = (event.get("partitionkey", key), state)
    return entities


def compare(view, entities, rows):
    differences = 0
    seen = set()
    for line in rows:
        row = json.loads(line)
        state = row["state"]
        if state is not None:
            state = {name: value for name, value in state.items() if not name.startswith("_")}
        seen.add(row["key"])
        expected = entities.get(row["key"], (None, "no such key"))[1]
        if state != expected:
            differences += 1
            if differences <= 5:
                print(f"{view} {row['key']}: the grid says {state}, the events say {expected}")
    missing = len(entities) - len(seen)
    if missing or differences:
        print(f"{view}: {differences} entries differ, {missing} were not answered")
        return 1
    print(f"{view}: {len(entities)} entries equal")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="+")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--keys", choices=STREAMS)
    what.add_argument("--compare", choices=STREAMS)
    arguments = parser.parse_args()
    view = arguments.keys or arguments.compare
    entities = fold(arguments.events, STREAMS[view])
    if arguments.keys:
        for key, (partition_key, _) in entities.items():
            print(f"{key}\t{partition_key}")
        return 0
    return compare(view, entities, sys.stdin)


if __name__ == "__main__":
    sys.exit(main())
