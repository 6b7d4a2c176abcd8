-- What format 3 adds: the seal over the rows that no signed head covers yet (tail.rs).
CREATE TABLE tail (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    size INTEGER NOT NULL,
    mac  BLOB    NOT NULL CHECK (length(mac) = 32)
) STRICT;
