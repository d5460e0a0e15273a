"""Bodies in a stream: a prior of flows around one body, composed to several, guided by forces, judged by the solver."""
