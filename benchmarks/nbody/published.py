"""What the original published or stored with its code: other weights, its own protocol (see scoring).

Objective and MAE of "Compositional Generative Inverse Design" (Wu et al., 2024), 50 designs a row: the best and the
worst of the settings stored in the authors' notebook. No row reports a speed, an overlap or a residual.
"""

PUBLISHED = {
    (2, 24): "objective .1150 ... .1233, MAE .0108 ... .0148",
    (2, 34): "objective .1273 ... .1374, MAE .0080 ... .0110",
    (2, 44): "objective .1406 ... .1533, MAE .0079 ... .0104",
    (2, 54): "objective .1559 ... .1744, MAE .0077 ... .0132",
    (2, 94): "objective .2694 ... .3000, MAE .0363 ... .0494",
    (4, 24): "objective .2039 ... .2140, MAE .0370 ... .0449",
    (4, 44): "objective .2189 ... .2376, MAE .0317 ... .0389",
    (8, 24): "objective .3023 ... .3106, MAE .0870 ... .0959",
    (8, 44): "objective .3169 ... .3240, MAE .0922 ... .0981",
}
NOTE = "published for the original (all settings stored, its protocol, 10,000 evaluations a window and pair)"
