"""Measures and their bootstrap intervals; `models::evaluate` computes the same ones."""

import numpy as np

BOOTSTRAPS = 1000


def ranks(values):
    """Average ranks, from 1."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.searchsorted(ordered, ordered, side="left")
    last = np.searchsorted(ordered, ordered, side="right")
    found = np.empty(len(values))
    found[order] = (first + last + 1) / 2
    return found


def lorenz_area(outcome, by):
    order = np.argsort(-by, kind="stable")
    return (np.cumsum(outcome[order]) / outcome.sum()).mean() - 0.5


def auc(churn, p):
    positive = churn.sum()
    return (ranks(p)[churn == 1].sum() - positive * (positive + 1) / 2) / (positive * (len(churn) - positive))


def average_precision(churn, p):
    order = np.argsort(-p, kind="stable")
    hits, scores = np.cumsum(churn[order]), p[order]
    # Ties count as one threshold.
    last = np.append(scores[1:] != scores[:-1], True)
    hits, seen = hits[last], np.flatnonzero(last) + 1
    return (np.diff(np.append(0, hits)) * hits / seen).sum() / churn.sum()


def calibration_error(churn, p, bins=10):
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [abs(churn[place == i].sum() - p[place == i].sum()) for i in range(bins)]
    return sum(gaps) / len(p)


LTV = {
    "mae": lambda y, p: np.abs(y - p).mean(),
    "rmse": lambda y, p: np.sqrt(((y - p) ** 2).mean()),
    "bias": lambda y, p: p.sum() / y.sum(),
    "spearman": lambda y, p: np.corrcoef(ranks(y), ranks(p))[0, 1],
    "gini": lambda y, p: lorenz_area(y, p) / lorenz_area(y, y),
}
CHURN = {
    "auc": auc,
    "pr_auc": average_precision,
    "brier": lambda y, p: ((y - p) ** 2).mean(),
    "ece": calibration_error,
}


def intervals(measures, outcome, prediction):
    """{name: (value, low, high)} with the 95 % percentile interval over resampled households."""
    draw = np.random.RandomState(7)
    samples = [draw.randint(0, len(outcome), len(outcome)) for _ in range(BOOTSTRAPS)]
    found = {}
    for name, measure in measures.items():
        spread = [measure(outcome[rows], prediction[rows]) for rows in samples]
        low, high = np.percentile(spread, [2.5, 97.5])
        found[name] = (measure(outcome, prediction), low, high)
    return found


def tenths(outcome, prediction):
    """(mean prediction, mean outcome, households) by tenth of the predictions."""
    parts = np.array_split(np.argsort(prediction, kind="stable"), 10)
    return [(prediction[part].mean(), outcome[part].mean(), len(part)) for part in parts]


def histogram(values):
    """(edges, shares): tenths of the values, equal edges merged; the last share lies above all edges."""
    edges = np.unique(np.percentile(values, range(10, 100, 10)).astype(np.float32))
    place = np.searchsorted(edges, values.astype(np.float32), side="left")
    shares = np.bincount(place, minlength=len(edges) + 1) / len(values)
    return edges, shares
