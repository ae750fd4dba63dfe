CREATE TABLE paid_orders (id text PRIMARY KEY, cents bigint NOT NULL, customer text NOT NULL);
