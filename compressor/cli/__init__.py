"""The command line."""

from compressor.cli import surroundings as surroundings
