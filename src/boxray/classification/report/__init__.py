"""An evaluation as a folder that one can hand over: page, numbers and pictures of the worst errors."""
