"""The admin's web page over the node's jobs (not DICOM Modality Worklist)."""
