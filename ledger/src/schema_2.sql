-- What format 2 changes: rows by column, in blocks (columns.rs), answer what record_by_segment answered and more.
DROP INDEX record_by_segment;
CREATE TABLE column_block (place INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
