"""A UM-Bridge server to test against: `python umbridge_server.py PORT`.

Its models are `F(shape, alpha) = (drag, loads)`, with drag = |shape|^2 (1 + alpha^2), loads = (sum(shape) alpha,
sin(shape_0)); they differ in which derivatives they serve.
"""

import math
import operator
import sys

import umbridge


class Wing(umbridge.Model):
    """All derivatives, by hand."""

    def get_input_sizes(self, config):
        return [3, 1]

    def get_output_sizes(self, config):
        return [1, 2]

    def supports_evaluate(self):
        return True

    def supports_gradient(self):
        return True

    def supports_apply_jacobian(self):
        return True

    def supports_apply_hessian(self):
        return True

    def __call__(self, parameters, config):
        (s, (a,)) = parameters
        if s[0] > 50:
            raise ArithmeticError("this wing breaks")
        k = config.get("scale", 1.0)
        return [[k * sum(v * v for v in s) * (1 + a * a)], [sum(s) * a, math.sin(s[0])]]

    def _jacobian(self, j, i, parameters, config):
        (s, (a,)), k = parameters, config.get("scale", 1.0)
        if j == 0:
            return [[2 * k * v * (1 + a * a) for v in s]] if i == 0 else [[2 * k * a * sum(v * v for v in s)]]
        return [[a, a, a], [math.cos(s[0]), 0.0, 0.0]] if i == 0 else [[sum(s)], [0.0]]

    def gradient(self, out_wrt, in_wrt, parameters, sens, config):
        rows = self._jacobian(out_wrt, in_wrt, parameters, config)
        return [sum(w * row[k] for w, row in zip(sens, rows)) for k in range(len(rows[0]))]

    def apply_jacobian(self, out_wrt, in_wrt, parameters, vec, config):
        return [sum(a * b for a, b in zip(row, vec)) for row in self._jacobian(out_wrt, in_wrt, parameters, config)]

    def apply_hessian(self, out_wrt, in_wrt1, in_wrt2, parameters, sens, vec, config):
        (s, (a,)), at = parameters, (in_wrt1, in_wrt2)
        if out_wrt == 1:
            if at == (0, 0):
                return [-sens[1] * math.sin(s[0]) * vec[0], 0.0, 0.0]
            return {(0, 1): [sens[0] * vec[0]] * 3, (1, 0): [sens[0] * sum(vec)], (1, 1): [0.0]}[at]
        w, square = config.get("scale", 1.0) * sens[0], sum(v * v for v in s)
        if in_wrt1 == 0:
            return [2 * w * (1 + a * a) * v for v in vec] if in_wrt2 == 0 else [4 * w * a * v * vec[0] for v in s]
        return [4 * w * a * sum(map(operator.mul, s, vec)) if in_wrt2 == 0 else 2 * w * square * vec[0]]


class Adjoint(Wing):
    """Only gradients."""

    def supports_apply_jacobian(self):
        return False

    def supports_apply_hessian(self):
        return False


class Tangent(Wing):
    """Only products with the Jacobian."""

    def supports_gradient(self):
        return False

    def supports_apply_hessian(self):
        return False


class Blind(Tangent):
    """No derivatives."""

    def supports_apply_jacobian(self):
        return False


class Drag(Wing):
    """The drag alone."""

    def get_output_sizes(self, config):
        return [1]

    def __call__(self, parameters, config):
        return super().__call__(parameters, config)[:1]


if __name__ == "__main__":
    models = [Wing("wing"), Adjoint("adjoint"), Tangent("tangent"), Blind("blind"), Drag("drag")]
    umbridge.serve_models(models, int(sys.argv[1]), max_workers=4)
