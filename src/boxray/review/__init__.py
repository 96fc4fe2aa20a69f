"""The annotator's room: a built set opened in FiftyOne, corrected there, and taken back as corrections."""
