"""Files to radiographs and back: DICOM, PNG, JPEG, CLAHE, overlays."""
