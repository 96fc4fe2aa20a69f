"""The scope gate: is this a whole, upright, not inverted frontal chest radiograph at all?"""
