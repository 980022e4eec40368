"""TJ-Net and everything that makes its weights: no DICOM, no database."""
