"""The inventory's HTTP routes: products and their stock."""

from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query, Request, Response
from pydantic import FailFast, Field

from services.contract import topics
from services.inventory import store
from services.runtime import idempotency
from services.runtime.database import Database, insist
from services.runtime.envelope import seal
from services.runtime.http import UNREADABLE, Strict
from services.runtime.outbox import Outbox, Transaction
from services.runtime.plumbing import PATIENCE_S
from services.runtime.problems import Problem, documented

MOST_PRODUCTS = 100_000

AT_ONCE = 1_000
"""Rows of an import in one transaction: what is done for them in one go takes others some ten ms."""

Sku = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", examples=["teapot"])]


class NewProduct(Strict):
    """`price` in minor units; `stock` counts when the product is new, later use restock."""

    sku: Annotated[Sku, Field(examples=["clock"])]
    name: Annotated[
        str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", examples=["Clock"])
    ]
    price: Annotated[int, Field(ge=0, le=10**12, examples=[19_99])]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$", examples=["EUR"])]
    stock: Annotated[int, Field(ge=0, le=10**12, examples=[100])] = 0


class ProductImport(Strict):
    products: Annotated[list[NewProduct], FailFast(), Field(min_length=1, max_length=MOST_PRODUCTS)]


class Restock(Strict):
    quantity: Annotated[int, Field(ge=1, le=10**9, examples=[10])]


class Product(Strict):
    """on_hand + held + sold = received, always."""

    sku: str
    name: str
    price: int
    currency: str
    on_hand: int
    held: int
    sold: int
    received: int


class Imported(Strict):
    created: int
    updated: int
    unchanged: int


class ProductPage(Strict):
    products: list[Product]


class ProductRoutes:
    """Everything that can be done with products."""

    def __init__(self, name: str, database: Database, outbox: Outbox) -> None:
        self._name = name
        self._database = database
        self._outbox = outbox

    def add_to(self, app: FastAPI) -> None:
        tags: list[Any] = ["products"]
        exists = documented((409, "already-exists", "there is a product teapot already"))
        unknown = (404, "unknown-sku", "there is no product teapot")
        keyed = documented(*UNREADABLE, idempotency.MISSING, unknown)
        app.post("/products", tags=tags, status_code=201, responses=exists)(self.create)
        app.post("/products/import", tags=tags)(self.import_many)
        app.get("/products", tags=tags)(self.page)
        app.get("/products/lookup", tags=tags)(self.look_up)
        app.get("/products/{sku}", tags=tags, responses=documented(unknown))(self.read)
        app.post("/products/{sku}/restock", tags=tags, responses=keyed, openapi_extra=idempotency.REQUIRED)(
            self.restock
        )

    async def create(self, product: NewProduct) -> Product:
        """Add a product. 409 when there is one of this sku; change it with an import."""
        async with self._outbox.transaction(self._database) as tx:
            created, _ = await self._save(tx, [product])
            if not created:  # nor may what is there be changed: raising rolls back
                raise Problem(409, "already-exists", f"there is a product {product.sku} already")
        return await self.read(product.sku)

    async def import_many(self, body: ProductImport) -> Imported:
        """Add or change many products. The stock of known products is left alone.

        They are stored a thousand at a time, so an import that was broken off has done a part. Repeat it.
        """
        if len({product.sku for product in body.products}) < len(body.products):
            raise Problem(422, "invalid-request", "products: name each sku once")
        created = updated = 0
        products = sorted(body.products, key=lambda product: product.sku)
        for start in range(0, len(products), AT_ONCE):
            some = products[start : start + AT_ONCE]
            new, changed = await insist(partial(self._save_some, some), for_s=PATIENCE_S)
            created, updated = created + new, updated + changed
        return Imported(created=created, updated=updated, unchanged=len(body.products) - created - updated)

    async def _save_some(self, products: list[NewProduct]) -> tuple[int, int]:
        async with self._outbox.transaction(self._database) as tx:
            return await self._save(tx, products)

    async def _save(self, tx: Transaction, products: list[NewProduct]) -> tuple[int, int]:
        rows = [(p.sku, p.name, p.price, p.currency, p.stock) for p in products]
        changed = await store.upsert_products(tx.sql, rows)
        for event in changed:
            id = f"{event.sku}/product-changed/{event.version}"
            tx.put(topics.CATALOGUE_EVENTS, seal(event, id=id, source=self._name, subject=event.sku))
        created = sum(1 for event in changed if event.version == 1)
        return created, len(changed) - created

    async def read(self, sku: str) -> Product:
        """A product and where its pieces are."""
        page = await self.look_up([sku[:64].replace("\x00", "")])
        if not page.products:
            raise Problem(404, "unknown-sku", f"there is no product {sku:.64}")
        return page.products[0]

    async def look_up(self, sku: Annotated[list[Sku], Query(max_length=100)]) -> ProductPage:
        """Those of the named products that exist."""
        async with self._database.connection() as sql:
            rows = await sql.fetch(store.SOME, sku)
        return ProductPage(products=[Product(**row) for row in rows])

    async def page(
        self,
        after: Annotated[str, Query(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")] = "",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> ProductPage:
        """Products in the order of their skus, from behind `after`."""
        async with self._database.connection() as sql:
            rows = await sql.fetch(store.PAGE, after, limit)
        return ProductPage(products=[Product(**row) for row in rows])

    async def restock(
        self,
        sku: str,
        body: Restock,
        http: Request,
    ) -> Response:
        """Receive goods. Needs an Idempotency-Key; repeating the request with it changes nothing more."""
        key = idempotency.read_key(http.headers.getlist("idempotency-key"))
        product = await self.read(sku)
        request = idempotency.fingerprint(body.model_dump_json().encode())
        key_id = idempotency.key_id(key, product.sku, "POST", "/products/restock")
        async with self._database.transaction() as sql:
            await store.lock_stock(sql, [product.sku])  # a twin of this request waits here, and finds the key
            record = (await idempotency.recall(sql, [key_id])).get(key_id)
            if record is None:
                row = await sql.fetchrow(store.RECEIVE, product.sku, body.quantity)
                answer = msgspec.json.encode(dict(row or {})).decode()
                record = idempotency.Record(key_id, request, None, 200, answer)
                await idempotency.claim(sql, [record])
        idempotency.refuse_reuse(record, request)
        return Response(record.body, record.status or 200, media_type="application/json")
