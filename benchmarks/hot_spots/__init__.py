"""Hot spots: the burning of a shocked microstructure, forecast by learned and by classical means."""
