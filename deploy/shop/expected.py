#!/usr/bin/env python3
"""What the shop's views must hold, worked out from the events alone; knows nothing of Evgrid.

  expected.py EVENTS.ndjson... --keys VIEW             every key of the view's events, "key<TAB>partition key" a line
  expected.py EVENTS.ndjson... --compare VIEW < ROWS   ROWS: NDJSON {"key": ..., "state": {...} or null} as answered;
                                                       prints "VIEW: N entries equal", or the differences (status 1);
                                                       --stored: only rows of entries that are there are given

Members of a state that begin with an underscore are the grid's own (times) and are not compared."""
import argparse
import json
import sys

def put(state, data, key):
    return dict(data)


def merge(state, data, key):
    return None if state is None else {**state, **data}


def customer_status(state, data, key):
    return None if state is None else {**state, "status": data["newStatus"]}


def stock(available, reserved):
    def move(state, data, key):
        if state is None:
            return None
        state = dict(state)
        state["available"] += available * data["quantity"]
        state["reserved"] += reserved * data["quantity"]
        return state
    return move


def reservation_failed(state, data, key):
    return None if state is None else {**state, "lastFailure": data["lastFailure"]}


def cancelled(state, data, key):
    return None


def refunded(state, data, key):
    return None if state is None else {**state, "status": "REFUNDED", "refunded": state["refunded"] + data["amount"]}


RULES = {
    "CustomerCreated": put, "CustomerUpdated": merge, "CustomerStatusChanged": customer_status,
    "ProductCreated": put, "StockReserved": stock(-1, 1), "StockReleased": stock(1, -1),
    "StockReplenished": stock(1, 0), "StockReservationFailed": reservation_failed,
    "OrderCreated": put, "OrderConfirmed": merge, "OrderCancelled": cancelled,
    "PaymentProcessed": put, "PaymentFailed": put, "PaymentRefunded": refunded,
}


# --- what a customer's orders and payments add up to ---------------------------------------------------------------

NO_ORDERS = {"orders": 0, "ordered": 0, "largest": None, "mean": {"average": None, "count": 0, "sum": 0},
             "latest": None, "cancelled": 0, "paid": 0}


def summed(change):
    def rule(state, data, key):
        state = dict(state or NO_ORDERS)
        change(state, data)
        return state
    return rule


def ordered(state, data):
    state["orders"] += 1
    state["ordered"] += data["total"]
    state["largest"] = max(state["largest"] or 0, data["total"])
    state["mean"] = mean(state)
    state["latest"] = data["total"]


def taken_away(state, data):
    state["orders"] -= 1
    state["ordered"] -= data["total"]
    state["mean"] = mean(state)
    state["cancelled"] += 1


def mean(state):
    average = state["ordered"] / state["orders"] if state["orders"] != 0 else None
    return {"average": average, "count": state["orders"], "sum": state["ordered"]}


SUMMARY = {
    "OrderCreated": summed(ordered),
    "OrderCancelled": summed(taken_away),
    "PaymentProcessed": summed(lambda state, data: state.update(paid=state["paid"] + data["amount"])),
    "PaymentRefunded": summed(lambda state, data: state.update(paid=state["paid"] - data["amount"])),
}


# --- what a customer has under way -----------------------------------------------------------------------------------

def under_way(change):
    def rule(state, data, key):
        still = {} if state is None else {order: dict(known) for order, known in state["open"].items()}
        change(still, data, key)
        due = sum(known["total"] for known in still.values() if not known["paid"])
        return {"open": still, "due": due} if still else None
    return rule


def opened(still, data, key):
    still[key] = {"total": data["total"], "paid": False}


def closed(still, data, key):
    still.pop(key, None)


def paid(still, data, key):
    if data["orderId"] in still:
        still[data["orderId"]]["paid"] = True


OPEN = {"OrderCreated": under_way(opened), "OrderConfirmed": under_way(closed), "OrderCancelled": under_way(closed),
        "PaymentProcessed": under_way(paid)}

# view: (its streams, what its entries are kept by, its rules)
VIEWS = {
    "customers": (["Customer"], "subject", RULES),
    "products": (["Product"], "subject", RULES),
    "orders": (["Order"], "subject", RULES),
    "payments": (["Payment"], "subject", RULES),
    "customer-orders": (["Order", "Payment"], "partitionkey", SUMMARY),
    "open-orders": (["Order", "Payment"], "partitionkey", OPEN),
}


def fold(paths, view):
    """key -> (partition key, state or None)"""
    streams, kept_by, rules = VIEWS[view]
    entities = {}
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                if event["stream"] not in streams:
                    continue
                key = event[kept_by]
                state = entities.get(key, (None, None))[1]
                if event["type"] in rules:
                    state = rules[event["type"]](state, event["data"], event["subject"])
                entities[key] = (event.get("partitionkey", key), state)
    return entities


def compare(view, entities, rows, asked):
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
    missing = sum(key not in seen and (asked or state is not None) for key, (_, state) in entities.items())
    if missing or differences:
        print(f"{view}: {differences} entries differ, {missing} were not answered")
        return 1
    print(f"{view}: {len(entities)} entries equal")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="+")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--keys", choices=VIEWS)
    what.add_argument("--compare", choices=VIEWS)
    parser.add_argument("--stored", action="store_true")
    arguments = parser.parse_args()
    view = arguments.keys or arguments.compare
    entities = fold(arguments.events, view)
    if arguments.keys:
        for key, (partition_key, _) in entities.items():
            print(f"{key}\t{partition_key}")
        return 0
    return compare(view, entities, sys.stdin, not arguments.stored)


if __name__ == "__main__":
    sys.exit(main())
