"""Rows and scores of the flow_design benchmark."""
