#!/usr/bin/env bash
# sqlite3 with 100,000 rows: indices, updates, deletes, joins; integrity_check, and the sums are known.
# needs: sqlite3
# packages: sqlite3
# timeout: 120
source "$(dirname "$0")/lib/common.sh"

loads sqlite3
cat >work.sql <<'SQL'
PRAGMA journal_mode = WAL;
PRAGMA threads = 2;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, size INTEGER, data BLOB);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
INSERT INTO item SELECT i, 'item ' || (i * 7919 % 100003), i % 1000, zeroblob(i % 500) FROM n;
COMMIT;
CREATE INDEX by_name ON item(name);
CREATE INDEX by_size ON item(size, name);
UPDATE item SET name = name || ' changed' WHERE id % 3 = 0;
DELETE FROM item WHERE id % 5 = 0;
CREATE TABLE groups AS SELECT size, count(*) AS members, group_concat(name) AS names FROM item GROUP BY size;
VACUUM;
SELECT count(*), sum(size), sum(length(data)) FROM item;
SELECT count(*) FROM item WHERE name LIKE '% changed';
SELECT count(*) FROM item a JOIN item b ON b.name = a.name;
SELECT count(*), sum(members) FROM groups;
SELECT count(DISTINCT name) FROM (SELECT name FROM item ORDER BY length(data), name DESC);
PRAGMA integrity_check;
SQL
preloaded sqlite3 -batch store.db <work.sql >found
sqlite3 :memory: <<'SQL' >wanted
SELECT 'wal';
SELECT 2;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
SELECT count(*), sum(i % 1000), sum(i % 500) FROM n WHERE i % 5;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
SELECT count(*) FROM n WHERE i % 5 AND i % 3 = 0;
SELECT 80000;
SELECT 800, 80000;
SELECT 80000;
SELECT 'ok';
SQL
diff wanted found || fail 'wrong results'
