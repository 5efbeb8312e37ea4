"""Synthetic scans whose truth is known: a CT body, a DICOM study, a training set, a self-test."""
