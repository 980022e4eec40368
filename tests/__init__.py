"""Tests, by what they need: unit, db, dicom, model, web, e2e."""
