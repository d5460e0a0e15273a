"""Rows, tasks and scores of the table that the inverse benchmark prints."""
