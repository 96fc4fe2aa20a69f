"""The doors: one service, and Gradio before it."""
