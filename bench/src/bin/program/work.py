import json, sys

count = int(sys.argv[1])

class Customer:
    def __init__(self, number):
        self.name = "customer %d" % number
        self.orders = []

customers = {}
for n in range(count):
    customer = customers.setdefault(n * 7919 % 10007, None) or Customer(n * 7919 % 10007)
    customers[n * 7919 % 10007] = customer
    customer.orders.append({"id": n, "items": [str(n * k) for k in range(n % 7)], "price": n / 3})

text = json.dumps([[c.name, c.orders] for c in customers.values()])
again = json.loads(text)
words = {}
for name, orders in again:
    for order in orders:
        for item in order["items"]:
            words[item] = words.get(item, 0) + 1
kept = sorted(words, key=lambda word: (words[word], word))[::3]
print(len(text), len(words), len(kept), hash("".join(kept)))
