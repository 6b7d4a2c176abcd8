"""From the 22 features to the columns the models weigh; `graph.py` says the same in ONNX.

Spend and trips enter as roots (spend varies with its own size) and logarithms. Lifetime totals only enter as
rates: their size grows with the age of the program, which the training cutoffs do not cover.
"""

import numpy as np

import mbg

RECENCY, TENURE, TRIPS, SPEND = 0, 1, 2, 3
# Trips and spend in the windows, as roots.
ROOTS = slice(11, 21)
# Amounts, gaps, windows and overdue ratio, as logarithms; recency joins them.
LOGS = slice(4, 22)
FEATURES = 22

# Recency says no more beyond this many days as a number; its logarithm does.
RECENCY_DAYS_MAX = 60.0
# Tenure says no more beyond the longest window.
TENURE_DAYS_MAX = 91.0
# Keeps the rates of a member's first days finite.
RATE_DAYS = 7.0
# Odds beyond these are clipped: log odds of 0.0001.
LOG_ODDS_MAX = 9.21
# The first four features are never capped: a program older than the training data is no outlier.
UNCAPPED = 4
NO_CAP = 1e9

# Ten roots, eighteen logarithms, five more; the churn model adds the MBG/NBD odds.
COUNT = 33


class Caps:
    """The largest values of training; a stranger member counts as the most extreme one seen."""

    def __init__(self, features):
        self.features = features.max(axis=0).astype(np.float32).astype(float)
        self.features[:UNCAPPED] = NO_CAP
        days = features[:, TENURE] + RATE_DAYS
        self.rates = [float(np.float32((features[:, index] / days).max())) for index in (TRIPS, SPEND)]


def columns(features, caps, parameters=None):
    """All columns, float64; with MBG/NBD parameters the odds are the last one."""
    x = np.minimum(np.maximum(features, 0.0), caps.features)
    days = x[:, TENURE] + RATE_DAYS
    single = [
        np.log1p(x[:, RECENCY]),
        np.minimum(x[:, RECENCY], RECENCY_DAYS_MAX),
        np.log1p(np.minimum(x[:, TENURE], TENURE_DAYS_MAX)),
        np.sqrt(np.minimum(x[:, TRIPS] / days, caps.rates[0])),
        np.sqrt(np.minimum(x[:, SPEND] / days, caps.rates[1])),
    ]
    if parameters:
        p = mbg.no_purchase(parameters, features)
        odds = np.log(p) - np.log(np.maximum(1.0 - p, 1e-30))
        single.append(np.clip(odds, -LOG_ODDS_MAX, LOG_ODDS_MAX))
    return np.concatenate([np.sqrt(x[:, ROOTS]), np.log1p(x[:, LOGS]), np.stack(single, axis=1)], axis=1)


def graph_order(count):
    """Where each column of the graph stands in `columns`; the graph groups roots and logarithms."""
    roots, logs = list(range(10)), list(range(10, 28))
    log_recency, recency, log_tenure, trips, spend = range(28, 33)
    order = [*roots, trips, spend, *logs, log_recency, log_tenure, recency]
    return order + [33] if count > COUNT else order
