"""Writes `<name>.model.toml`, the manifest that `models/src/manifest.rs` checks."""

import hashlib

import numpy as np


def number(value):
    """Seven significant digits, always readable as a float."""
    text = f"{float(value):.7g}"
    return text if any(mark in text for mark in ".en") else text + ".0"


def exact(value):
    """The shortest text that reads back to the same float32."""
    text = str(np.float32(value))
    return text if any(mark in text for mark in ".en") else text + ".0"


def text(value):
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def array(values, show=text):
    return "[" + ", ".join(show(value) for value in values) + "]"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def written(facts, training, metrics, calibration, baseline, golden):
    """The manifest as text. `facts` and `training` map keys to TOML values already written."""
    lines = ["# Written by models/training/train.py; do not edit by hand."]
    lines += [f"{key} = {value}" for key, value in facts.items()]
    lines += ["", "[training]"] + [f"{key} = {value}" for key, value in training.items()]
    for metric in metrics:
        lines += ["", "[[metrics]]"] + [f"{key} = {value}" for key, value in metric.items()]
    for predicted, observed, households in calibration:
        row = f"predicted = {number(predicted)}\nobserved = {number(observed)}\nhouseholds = {households}"
        lines += ["", "[[calibration]]", row]
    for name, edges, shares in baseline:
        row = f"name = {text(name)}\nedges = {array(edges, exact)}\nshares = {array(shares, number)}"
        lines += ["", "[[baseline]]", row]
    for features, output in golden:
        row = f"features = {array(features, exact)}\noutput = {exact(output)}"
        lines += ["", "[[golden]]", row]
    return "\n".join(lines) + "\n"
