"""``python -m models``: train, predict and evaluate, with no DICOM in it."""

from models.cli import main

raise SystemExit(main())
