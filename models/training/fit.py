"""Both models are convex fits over one layer of fixed random units, so a re-run finds the same weights.

Hidden units are tanh of a seeded random projection; only the output weights are fitted: ridge regression of the
root of spend, and ridge-penalised logistic regression of churn. (Networks trained by gradient descent did no
better in cross-validation, and their weights depend on the last bit of every sum.)
"""

import numpy as np

HIDDEN = 32
SEED = 1


class Layers:
    """Standardisation and hidden layer; `graph.py` folds the standardisation into the weights."""

    def __init__(self, columns):
        self.mean, self.scale = columns.mean(axis=0), 1.0 / columns.std(axis=0)
        draw = np.random.RandomState(SEED)
        self.weights = draw.normal(size=(columns.shape[1], HIDDEN)) / np.sqrt(columns.shape[1])
        self.bias = draw.uniform(-1.0, 1.0, size=HIDDEN)

    def units(self, columns):
        """Standardised columns and hidden units, side by side."""
        standard = (columns - self.mean) * self.scale
        return np.concatenate([standard, np.tanh(standard @ self.weights + self.bias)], axis=1)

    def folded(self, weights, bias):
        """The same linear map on columns that are not standardised."""
        return weights * self.scale[:, None], bias - (self.mean * self.scale) @ weights


def ridge(inputs, target, penalty):
    """(weights, intercept) of ridge regression; the intercept is not penalised."""
    mean, middle = inputs.mean(axis=0), target.mean()
    centred = inputs - mean
    gram = centred.T @ centred + penalty * np.eye(inputs.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (target - middle))
    return weights, middle - mean @ weights


def logistic(inputs, target, penalty):
    """(weights, intercept) of logistic regression with a ridge penalty, by Newton's method."""
    design = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    ridge_term = np.append(np.full(inputs.shape[1], penalty), 0.0)
    weights = np.zeros(design.shape[1])
    weights[-1] = np.log(target.mean() / (1 - target.mean()))
    for _ in range(100):
        p = 1.0 / (1.0 + np.exp(-(design @ weights)))
        gradient = design.T @ (p - target) + ridge_term * weights
        hessian = (design.T * (p * (1 - p))) @ design + np.diag(ridge_term + 1e-12)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-12:
            break
    return weights[:-1], weights[-1]


def mean_of_two(inputs, target, fitter, plain, wide):
    """The mean of a fit on the plain columns and one on columns and hidden units: one set of weights."""
    columns = inputs.shape[1] - HIDDEN
    first, first_bias = fitter(inputs[:, :columns], target, plain)
    second, second_bias = fitter(inputs, target, wide)
    padded = np.concatenate([first, np.zeros(HIDDEN)])
    return (padded + second) / 2, (first_bias + second_bias) / 2
