"""The door for programs: radiographs in, readings and pictures out, over HTTP."""
