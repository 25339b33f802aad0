"""The record of an evaluation, and its tables, pictures and pages."""
