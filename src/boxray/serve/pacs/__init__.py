"""The archive's door: radiographs that lie in a PACS are read there, and what is found goes back as DICOM objects.

DICOMweb (PS3.18) and nothing else: it is the archive that listens, so that this machine opens no port to the hospital.
"""

from boxray.serve.pacs.archive import Archive, ArchiveError, Film
from boxray.serve.pacs.ledger import Ledger
from boxray.serve.pacs.watch import Watch

__all__ = ["Archive", "ArchiveError", "Film", "Ledger", "Watch"]
