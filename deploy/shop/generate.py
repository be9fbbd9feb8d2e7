#!/usr/bin/env python3
"""Writes a shop's events as NDJSON of CloudEvents JSON: generate.py --events N [--seed S] [--skip K].

The same seed gives the same events on every machine, and the first N events of a longer run are those of a shorter
one: --skip K leaves out the first K, so that a later phase goes on where an earlier one stopped. Orders and payments
bear the customer's id as partition key; amounts are integers (cents)."""
import argparse
import json
import random
import sys

CITIES = ["Aachen", "Bergen", "Cork", "Delft", "Évora", "Faro", "Ghent", "Łódź"]
WORDS = ["lamp", "chair", "desk", "shelf", "rug", "clock", "vase", "stool"]
START_S = 1_700_000_000


class Shop:
    """The shop's own memory: just enough that events make sense one after the other."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.number = 0
        self.customers = 0
        self.products = 0
        self.orders = 0
        self.payments = 0
        self.open_orders = []  # (order, customer, product, quantity, total)
        self.paid = []  # (payment, customer, total)

    def event(self, stream, kind, key, data, customer=None, correlation=None):
        self.number += 1
        seconds = START_S + self.number // 1000
        event = {
            "specversion": "1.0",
            "id": f"{self.number:08d}-shop",
            "source": f"/shop/{stream.lower()}",
            "type": kind,
            "subject": key,
            "time": f"{iso(seconds)}.{self.number % 1000:03d}Z",
            "stream": stream,
            "data": data,
        }
        if customer is not None:
            event["partitionkey"] = customer
        if correlation is not None:
            event["correlationid"] = correlation
        return event

    def next(self):
        draw = self.random.random()
        if self.customers < 10 or draw < 0.12:
            return self.customer_created()
        if self.products < 10 or draw < 0.16:
            return self.product_created()
        if draw < 0.26:
            return self.customer_changed()
        if draw < 0.34:
            return self.stock_replenished()
        if len(self.open_orders) > 200 or (self.open_orders and draw < 0.66):
            return self.order_goes_on()
        if self.paid and draw < 0.70:
            return self.payment_refunded()
        if draw < 0.73:
            return self.reservation_failed()
        return self.order_created()

    def customer_created(self):
        self.customers += 1
        key = f"c-{self.customers:07d}"
        data = {"name": f"Customer {self.customers}", "email": f"c{self.customers}@example.org",
                "address": {"city": self.random.choice(CITIES), "street": self.random.randrange(1, 400)},
                "status": "ACTIVE", "points": 0}
        return self.event("Customer", "CustomerCreated", key, data)

    def customer_changed(self):
        key = self.any_customer()
        if self.random.random() < 0.3:
            status = self.random.choice(["ACTIVE", "SUSPENDED", "VIP"])
            return self.event("Customer", "CustomerStatusChanged", key, {"newStatus": status, "reason": "review"})
        change = {"email": f"new{self.number}@example.org"}
        if self.random.random() < 0.5:
            change = {"address": {"city": self.random.choice(CITIES), "street": self.random.randrange(1, 400)}}
        return self.event("Customer", "CustomerUpdated", key, change)

    def product_created(self):
        self.products += 1
        key = f"p-{self.products:06d}"
        data = {"name": self.random.choice(WORDS), "sku": f"SKU-{self.products}",
                "price": self.random.randrange(99, 99999), "available": 1000, "reserved": 0}
        return self.event("Product", "ProductCreated", key, data)

    def stock_replenished(self):
        data = {"quantity": self.random.randrange(1, 500)}
        return self.event("Product", "StockReplenished", self.any_product(), data)

    def reservation_failed(self):
        data = {"lastFailure": "OUT_OF_STOCK", "quantity": self.random.randrange(1, 9)}
        return self.event("Product", "StockReservationFailed", self.any_product(), data)

    def order_created(self):
        self.orders += 1
        order, customer, product = f"o-{self.orders:08d}", self.any_customer(), self.any_product()
        quantity, price = self.random.randrange(1, 6), self.random.randrange(99, 99999)
        self.open_orders.append([order, customer, product, quantity, quantity * price, "CREATED"])
        data = {"customerId": customer, "status": "PENDING", "total": quantity * price,
                "lines": [{"productId": product, "quantity": quantity, "price": price}]}
        return self.event("Order", "OrderCreated", order, data, customer, order)

    def order_goes_on(self):
        at = self.random.randrange(len(self.open_orders))
        order, customer, product, quantity, total, state = self.open_orders[at]
        lines = {"quantity": quantity, "orderId": order}
        if state == "CREATED":
            self.open_orders[at][5] = "RESERVED"
            return self.event("Product", "StockReserved", product, lines, None, order)
        if state == "RESERVED":
            return self.pay(at)
        self.open_orders[at] = self.open_orders[-1]
        self.open_orders.pop()
        if state == "PAID":
            return self.event("Order", "OrderConfirmed", order, {"status": "CONFIRMED"}, customer, order)
        if state == "REFUSED":
            self.open_orders.append([order, customer, product, quantity, total, "RELEASED"])
            return self.event("Product", "StockReleased", product, lines, None, order)
        return self.event("Order", "OrderCancelled", order, {"reason": "payment failed", "total": total}, customer,
                          order)

    def pay(self, at):
        order, customer, _, _, total, _ = self.open_orders[at]
        self.payments += 1
        payment = f"y-{self.payments:08d}"
        data = {"orderId": order, "customerId": customer, "amount": total}
        if self.random.random() < 0.1:
            self.open_orders[at][5] = "REFUSED"
            return self.event("Payment", "PaymentFailed", payment, {**data, "status": "FAILED"}, customer, order)
        self.open_orders[at][5] = "PAID"
        self.paid.append((payment, customer, total))
        return self.event("Payment", "PaymentProcessed", payment, {**data, "status": "PROCESSED", "refunded": 0},
                          customer, order)

    def payment_refunded(self):
        payment, customer, total = self.paid.pop(self.random.randrange(len(self.paid)))
        return self.event("Payment", "PaymentRefunded", payment, {"amount": total}, customer)

    def any_customer(self):
        return f"c-{self.random.randrange(1, self.customers + 1):07d}"

    def any_product(self):
        return f"p-{self.random.randrange(1, self.products + 1):06d}"


def iso(seconds):
    import time
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip", type=int, default=0)
    arguments = parser.parse_args()
    shop = Shop(arguments.seed)
    for _ in range(arguments.skip):
        shop.next()
    for _ in range(arguments.events):
        sys.stdout.write(json.dumps(shop.next(), ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
