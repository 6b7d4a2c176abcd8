"""Writes the small models of ../tests/files: each has one property that loading must see or scoring must survive."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FOLDER = Path(__file__).resolve().parent / "../tests/files"


def port(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def save(name, nodes, weights=(), columns=22, opsets=(("", 17),)):
    ports = [port("features", ["rows", columns])], [port("churn_60d", ["rows", 1])]
    graph = helper.make_graph(nodes, name, *ports, list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*opset) for opset in opsets])
    model.ir_version = 8
    (FOLDER / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


def first_column():
    """Nodes and weights that take the first feature as `first`."""
    numbers = [("from", 0), ("to", 1), ("axis", 1)]
    weights = [numpy_helper.from_array(np.array([value], dtype=np.int64), name) for name, value in numbers]
    return helper.make_node("Slice", ["features", "from", "to", "axis"], ["first"]), weights


def main():
    FOLDER.mkdir(exist_ok=True)
    slice_node, weights = first_column()
    # The root of the first feature: NaN below zero, above one from one on.
    save("root", [slice_node, helper.make_node("Sqrt", ["first"], ["churn_60d"])], weights)
    save("sine", [slice_node, helper.make_node("Sin", ["first"], ["churn_60d"])], weights)
    save("narrow", [slice_node, helper.make_node("Sqrt", ["first"], ["churn_60d"])], weights, columns=21)

    elsewhere = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[22, 1])
    elsewhere.data_location = TensorProto.EXTERNAL
    elsewhere.external_data.add(key="location", value="../../etc/passwd")
    save("external", [helper.make_node("MatMul", ["features", "w"], ["churn_60d"])], [elsewhere])

    flag = numpy_helper.from_array(np.array(True), "flag")
    branch = helper.make_graph([helper.make_node("Sqrt", ["first"], ["inner"])], "branch", [], [port("inner", None)])
    choice = helper.make_node("If", ["flag"], ["churn_60d"], then_branch=branch, else_branch=branch)
    save("nested", [slice_node, choice], [*weights, flag])

    tree = helper.make_node(
        "TreeEnsembleRegressor", ["features"], ["churn_60d"], domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values=[60.0, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0], target_weights=[0.125, 0.75],
    )
    save("trees", [tree], opsets=(("", 17), ("ai.onnx.ml", 3)))


if __name__ == "__main__":
    main()
