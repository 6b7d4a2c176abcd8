"""The MBG/NBD process (Batislam, Denizel, Filiztekin 2007): fitting, and the churn formula.

The same formula stands in `models/src/fallback.rs`, which documents it.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

HORIZON_DAYS = 60.0


def counts(features):
    """Repeat purchases, time of the last one, and time observed, in days since the first purchase."""
    recency, tenure, trips = features[:, 0], features[:, 1], features[:, 2]
    return trips - 1.0, tenure - recency, tenure


def no_purchase(parameters, features):
    """The probability of no purchase in the next 60 days."""
    r, alpha, a, b = parameters
    repeats, last, observed = counts(features)
    leaving = a / (b + repeats)
    quiet = lambda days: np.exp((r + repeats) * np.log((alpha + last) / (alpha + observed + days)))
    return (leaving + quiet(HORIZON_DAYS)) / (leaving + quiet(0.0))


def likelihood_loss(log_parameters, features):
    """Minus the mean log likelihood of the purchase counts and times."""
    r, alpha, a, b = np.exp(log_parameters)
    repeats, last, observed = counts(features)
    shared = gammaln(r + repeats) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
    left = betaln(a + 1, b + repeats) - (r + repeats) * np.log(alpha + last)
    active = betaln(a, b + repeats + 1) - (r + repeats) * np.log(alpha + observed)
    return -(shared + np.logaddexp(left, active)).mean()


def outcome_loss(log_parameters, features, churn):
    """Mean log loss of the 60-day outcome."""
    p = np.clip(no_purchase(np.exp(log_parameters), features), 1e-6, 1 - 1e-6)
    return -(churn * np.log(p) + (1 - churn) * np.log(1 - p)).mean()


def minimum(loss, start, *arguments):
    """Parameters at the minimum, rounded to four significant digits so that they reproduce across machines."""
    options = {"maxiter": 20000, "maxfev": 20000, "xatol": 1e-10, "fatol": 1e-14}
    # The last parameter is bounded: the process is flat along a/b once both are large.
    bounds = [(-6, 8), (-3, 8), (-8, 3), (-6, 4)]
    found = minimize(loss, np.log(start), args=arguments, method="Nelder-Mead", bounds=bounds, options=options)
    return [float(f"{value:.4g}") for value in np.exp(found.x)]


def fit(table):
    """(fitted to the likelihood, fitted to the outcome)."""
    by_likelihood = minimum(likelihood_loss, [1.0, 7.0, 0.5, 5.0], table.features)
    by_outcome = minimum(outcome_loss, [2.0, 40.0, 0.05, 5.0], table.features, table.churn)
    return by_likelihood, by_outcome
