"""The models as ONNX graphs of standard operators that both engines run."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import columns as c

OPSET = 17


class Graph:
    """Collects nodes and constants; every method returns the name of a value."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def constant(self, value):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value, dtype=np.float32), name))
        return name

    def axes(self, *values):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype=np.int64), name))
        return name

    def node(self, operator, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def part(self, matrix, columns):
        return self.node("Slice", matrix, self.axes(columns.start), self.axes(columns.stop), self.axes(1))

    def column(self, matrix, index):
        return self.part(matrix, slice(index, index + 1))

    def model(self, name, output):
        self.nodes[-1].output[0] = output
        ports = [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", c.FEATURES]),
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["rows", 1]),
        ]
        graph = helper.make_graph(self.nodes, name, ports[:1], ports[1:], self.weights)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="largesse")
        made.ir_version = 8
        onnx.checker.check_model(made, full_check=True)
        return made


def churn_odds(graph, x, parameters):
    """Log odds of no purchase in 60 days by the MBG/NBD formula."""
    r, alpha, a, b = parameters
    recency, tenure, trips = (graph.column(x, index) for index in (c.RECENCY, c.TENURE, c.TRIPS))
    plus = lambda value, number: graph.node("Add", value, graph.constant([[number]]))
    last = graph.node("Log", plus(graph.node("Relu", graph.node("Sub", tenure, recency)), alpha))
    shape = plus(trips, r - 1.0)
    leaving = graph.node("Div", graph.constant([[a]]), graph.node("Max", plus(trips, b - 1.0), graph.constant([[b]])))
    def quiet(days):
        ratio = graph.node("Sub", last, graph.node("Log", plus(tenure, alpha + days)))
        return graph.node("Exp", graph.node("Mul", shape, ratio))
    now, later = quiet(0.0), quiet(60.0)
    churned = graph.node("Log", graph.node("Add", leaving, later))
    active = graph.node("Max", graph.node("Sub", now, later), graph.constant([[1e-30]]))
    odds = graph.node("Sub", churned, graph.node("Log", active))
    limit = c.LOG_ODDS_MAX
    return graph.node("Clip", odds, graph.constant(-limit), graph.constant(limit))


def column_nodes(graph, caps, parameters):
    """(capped features, the columns of `columns.py`)."""
    x = graph.node("Min", graph.node("Relu", "features"), graph.constant(caps.features[None]))
    tenure, recency = graph.column(x, c.TENURE), graph.column(x, c.RECENCY)
    days = graph.node("Add", tenure, graph.constant([[c.RATE_DAYS]]))
    one = graph.constant([[1.0]])
    logarithm = lambda value: graph.node("Log", graph.node("Add", value, one))
    below = lambda value, most: graph.node("Min", value, graph.constant([[most]]))
    rate = lambda index, most: below(graph.node("Div", graph.column(x, index), days), most)
    logarithms = [graph.part(x, c.LOGS), recency, below(tenure, c.TENURE_DAYS_MAX)]
    rates = graph.node("Concat", rate(c.TRIPS, caps.rates[0]), rate(c.SPEND, caps.rates[1]), axis=1)
    roots = graph.node("Sqrt", graph.node("Concat", graph.part(x, c.ROOTS), rates, axis=1))
    logarithms = logarithm(graph.node("Concat", *logarithms, axis=1))
    odds = [churn_odds(graph, x, parameters)] if parameters else []
    parts = [roots, logarithms, below(recency, c.RECENCY_DAYS_MAX), *odds]
    return x, graph.node("Concat", *parts, axis=1)


def scored(graph, layers, caps, weights, bias, parameters):
    """(capped features, weighted sum of columns and hidden units)."""
    x, columns = column_nodes(graph, caps, parameters)
    order = c.graph_order(len(layers.mean))
    hidden_weights, hidden_bias = layers.folded(layers.weights, layers.bias)
    plain, plain_bias = layers.folded(weights[: len(order), None], np.array([bias]))
    hidden = graph.node("Gemm", columns, graph.constant(hidden_weights[order]), graph.constant(hidden_bias))
    of_plain = graph.node("Gemm", columns, graph.constant(plain[order]), graph.constant(plain_bias))
    of_hidden = graph.node("MatMul", graph.node("Tanh", hidden), graph.constant(weights[len(order) :, None]))
    return x, graph.node("Add", of_plain, of_hidden)


def ltv(layers, caps, weights, bias, factor, persistence):
    """Spend in the next 91 days: a squared weighted sum, blended with the spend of the last 91 days."""
    graph = Graph()
    x, root = scored(graph, layers, caps, weights, bias, None)
    root = graph.node("Relu", root)
    spend = graph.node("Mul", graph.node("Mul", root, root), graph.constant([[factor * (1 - persistence)]]))
    last = graph.node("Mul", graph.column(x, 20), graph.constant([[persistence]]))
    # An engine may not promise more than the largest amount that intake accepts.
    graph.node("Min", graph.node("Add", spend, last), graph.constant([[999_999.0]]))
    return graph.model("ltv_91d", "ltv_91d")


def churn(layers, caps, weights, bias, parameters):
    """Probability of no purchase in the next 60 days."""
    graph = Graph()
    _, odds = scored(graph, layers, caps, weights, bias, parameters)
    graph.node("Sigmoid", odds)
    return graph.model("churn_60d", "churn_60d")
