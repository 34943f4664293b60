"""Constants that were fitted together: where one is larger, the other is likely smaller."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from replay.host.model import Cost


def correlated(costs: Mapping[str, Cost], normals: Mapping[str, float]) -> dict[str, float]:
    """Return standard normals by constant with the correlations that `costs` tell.

    `normals` are independent ones. A constant without any correlation keeps its own. Correlations
    that no distribution can have (a file may say anything) become the nearest that one can.
    """
    names = [name for name in normals if name in costs]
    matrix = np.eye(len(names))
    for row, name in enumerate(names):
        for other, correlation in costs[name].together.items():
            if other in names and other != name:
                column = names.index(other)
                matrix[row, column] = matrix[column, row] = correlation
    if (matrix == np.eye(len(names))).all():
        return dict(normals)
    roots, vectors = np.linalg.eigh(matrix)
    square = vectors * np.sqrt(np.maximum(roots, 0.0))
    square /= np.maximum(np.linalg.norm(square, axis=1, keepdims=True), 1e-12)
    found = square @ np.array([normals[name] for name in names])
    return {**normals, **dict(zip(names, found.tolist(), strict=True))}
