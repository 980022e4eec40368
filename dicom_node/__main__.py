"""``python -m dicom_node``."""

from dicom_node.cli import main

if __name__ == "__main__":
    main()
