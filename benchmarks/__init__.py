"""Measurements, never tests: `make bench`. A figure stands beside what it was measured against."""
