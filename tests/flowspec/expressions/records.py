from __future__ import annotations

from typing import Any

from flowspec.records import Record


def record(body: Any = None, **parts: Any) -> Record:
    return Record(raw=b"", body=body, **parts)


ORDER: dict[str, Any] = {
    "order_id": 7,
    "status": "paid",
    "total": 120.5,
    "customer": {"name": "Bo Li", "email": "Bo@Example.com", "phone": None, "e-mail": "x"},
    "items": [{"sku": "a", "price": 2}, {"sku": "b", "price": 3}],
    "from": "shop",
}
