"""The shop's tables and rows."""

from ..filling import rebuild

CUSTOMERS_COUNT = 1200
ORDERS_COUNT = 2000
PRODUCTS_COUNT = 900

SCRIPT = f"""
CREATE TABLE categories (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE products (
    id int PRIMARY KEY, name text NOT NULL, price_cents int NOT NULL, stock int NOT NULL,
    category_id int NOT NULL);
CREATE TABLE reviews (id int PRIMARY KEY, product_id int NOT NULL, stars int NOT NULL, text text);
CREATE TABLE pictures (id int PRIMARY KEY, product_id int NOT NULL, address text NOT NULL);
CREATE TABLE customers (
    id int PRIMARY KEY, email text NOT NULL, name text NOT NULL, token text UNIQUE,
    last_seen timestamp);
CREATE TABLE addresses (id int PRIMARY KEY, street text NOT NULL, city text NOT NULL);
CREATE TABLE orders (
    id serial PRIMARY KEY, customer_id int NOT NULL, billing_address_id int NOT NULL,
    shipping_address_id int NOT NULL, pickup_address_id int NOT NULL, status text NOT NULL);
CREATE TABLE order_lines (
    id serial PRIMARY KEY, order_id int NOT NULL, product_id int NOT NULL, quantity int NOT NULL,
    price_cents int NOT NULL);
CREATE TABLE shipments (id int PRIMARY KEY, order_id int NOT NULL, carrier text NOT NULL);
CREATE TABLE settings (key text PRIMARY KEY, value int NOT NULL);

INSERT INTO categories SELECT n, 'Category ' || n FROM generate_series(1, 12) n;
INSERT INTO products
SELECT n, 'Product ' || n, 100 + n % 400, 1000, 1 + (n - 1) / 75
FROM generate_series(1, {PRODUCTS_COUNT}) n;
INSERT INTO reviews
SELECT n, 1 + n % {PRODUCTS_COUNT}, 1 + n % 5, 'Works as it should, number ' || n
FROM generate_series(1, {PRODUCTS_COUNT * 11}) n;
INSERT INTO pictures
SELECT n, 1 + n % {PRODUCTS_COUNT}, '/pictures/' || n || '.jpg'
FROM generate_series(1, {PRODUCTS_COUNT * 11}) n;
INSERT INTO customers
SELECT n, 'customer' || n || '@example.org', 'Customer ' || n, 'token-' || n
FROM generate_series(1, {CUSTOMERS_COUNT}) n;
INSERT INTO addresses
SELECT n, n || ' Long Road', 'City ' || n % 90 FROM generate_series(1, 2400) n;
INSERT INTO orders (customer_id, billing_address_id, shipping_address_id, pickup_address_id, status)
SELECT 1 + n * 7 % {CUSTOMERS_COUNT}, 1 + n % 2400, 1 + (n + 500) % 2400, 1 + (n + 1100) % 2400,
       (ARRAY['open', 'paid', 'sent'])[1 + n % 3]
FROM generate_series(1, {ORDERS_COUNT}) n;
INSERT INTO order_lines (order_id, product_id, quantity, price_cents)
SELECT 1 + n % {ORDERS_COUNT}, 1 + n * 11 % {PRODUCTS_COUNT}, 1 + n % 4, 100 + n % 900
FROM generate_series(1, {ORDERS_COUNT * 4}) n;
INSERT INTO shipments
SELECT n, 1 + n % {ORDERS_COUNT}, 'Carrier ' || n % 5
FROM generate_series(1, {ORDERS_COUNT * 2}) n;
INSERT INTO settings
SELECT 'largest_quantity', 40 UNION ALL SELECT 'free_from_cents', 5000
UNION ALL SELECT 'flat_cents', 490;

CREATE INDEX ON reviews (product_id);
CREATE INDEX ON pictures (product_id);
CREATE INDEX ON orders (customer_id);
CREATE INDEX ON order_lines (order_id);
CREATE INDEX ON shipments (order_id);
"""


def prepare(database_url: str) -> None:
    """Makes the schema `shop` anew."""
    rebuild(database_url, "shop", SCRIPT)
