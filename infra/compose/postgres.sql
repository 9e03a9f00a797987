-- Run once by the Postgres image, when a server's data is made.
\getenv service SERVICE
\set owner `cat /run/secrets/owner`
\set audit `cat /run/secrets/audit`
\i /etc/postgresql/roles.sql
