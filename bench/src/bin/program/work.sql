CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, size INTEGER, data BLOB);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ROWS)
INSERT INTO item SELECT i, 'item ' || (i * 7919 % 100003), i % 1000, zeroblob(i % 500) FROM n;
COMMIT;
CREATE INDEX by_name ON item(name);
CREATE INDEX by_size ON item(size, name);
UPDATE item SET name = name || ' changed' WHERE id % 3 = 0;
DELETE FROM item WHERE id % 5 = 0;
CREATE TABLE groups AS SELECT size, count(*) AS members, group_concat(name) AS names FROM item GROUP BY size;
SELECT count(*), sum(size), sum(length(data)) FROM item;
SELECT count(*) FROM item a JOIN item b ON b.name = a.name;
SELECT count(*), sum(members), sum(length(names)) FROM groups;
SELECT count(DISTINCT name) FROM (SELECT name FROM item ORDER BY length(data), name DESC);
SELECT count(*), sum(length(j)) FROM (SELECT json_object('id', id, 'name', name, 'size', size) AS j FROM item);
