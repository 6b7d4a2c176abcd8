"""Training tables and the household split.

Features come from the serving code (`largesse model features`); nothing here computes one. The last three
columns are labels, known because the purchase file reaches past the cutoff.
"""

import csv
import hashlib
import io
import subprocess

import numpy as np

# "Now" is the end of these days. Labels of the last training cutoff end on 2017-10-01, where the test begins.
TRAIN_CUTOFFS = ["2017-04-02", "2017-04-30", "2017-05-28", "2017-07-02"]
TEST_CUTOFF = "2017-10-01"

# Households whose hash falls below this (of 100) are never trained on; `models::evaluate` uses the same rule.
HELD_OUT_PERCENT = 33
SPLIT = f"held out: first 8 bytes of sha256(household_id), big endian, modulo 100 < {HELD_OUT_PERCENT}"

FEATURES = 22


def held_out(household):
    """Whether a household is never trained on."""
    digest = hashlib.sha256(household.encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100 < HELD_OUT_PERCENT


class Table:
    """One cutoff: features X (rows, 22), spend in the next 91 days, churn within 60 days, households."""

    def __init__(self, names, households, features, spend, churn):
        self.names, self.households = names, households
        self.features, self.spend, self.churn = features, spend, churn
        self.held_out = np.array([held_out(household) for household in households])

    def where(self, rows):
        """The rows of a mask."""
        kept = [household for household, keep in zip(self.households, rows) if keep]
        return Table(self.names, kept, self.features[rows], self.spend[rows], self.churn[rows])


def load(command, events, cutoff):
    """Reads one cutoff through the serving code."""
    done = subprocess.run([*command, "--events", events, "--as-of", cutoff], check=True, capture_output=True)
    rows = list(csv.reader(io.StringIO(done.stdout.decode())))
    header, rows = rows[0], rows[1:]
    labels = ["label_spend_91d", "label_churn_30d", "label_churn_60d"]
    if header[0] != "household_id" or header[1 + FEATURES :] != labels:
        raise SystemExit(f"unexpected columns: {header}")
    values = np.array([[float(value) for value in row[1:]] for row in rows])
    names = header[1 : 1 + FEATURES]
    return Table(names, [row[0] for row in rows], values[:, :FEATURES], values[:, FEATURES], values[:, FEATURES + 2])


def pool(tables):
    """Several cutoffs as one table."""
    households = [household for table in tables for household in table.households]
    stack = lambda pick: np.concatenate([pick(table) for table in tables])
    return Table(
        tables[0].names, households, stack(lambda t: t.features), stack(lambda t: t.spend), stack(lambda t: t.churn)
    )
