"""A reading as DICOM objects for an archive: a structured report for programs, a presentation state for viewers.

Both refer to the radiograph that was read, and repeat patient and study from its header as they stand there.
"""

from boxray.serve.dicom.presentation import presentation_state
from boxray.serve.dicom.report import structured_report
from boxray.serve.dicom.source import can_write, header_of, require_writer, required_header

__all__ = ["can_write", "header_of", "presentation_state", "require_writer", "required_header", "structured_report"]
