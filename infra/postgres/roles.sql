-- The logins of one Postgres server and its service's database, in the words of psql; one line each, because
-- the native stack runs them in single-user mode (infra/native/postgres.py).
CREATE ROLE :"service" LOGIN PASSWORD :'owner';
CREATE DATABASE :"service" OWNER :"service";
CREATE ROLE audit LOGIN PASSWORD :'audit';
GRANT pg_read_all_data TO audit;
ALTER ROLE audit SET default_transaction_read_only = on;
\connect :"service"
-- Before version 15 everybody may create tables in the schema `public`.
ALTER SCHEMA public OWNER TO :"service";
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
