"""Microstructures: controls, designs, twins and dynamics beside their floors."""
