"""Capacity planning: measurement and simulation of the service, plans of cores for a load, and checks of a plan."""
