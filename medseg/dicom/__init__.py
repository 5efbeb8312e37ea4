"""What reading and exporting must agree on about DICOM."""
