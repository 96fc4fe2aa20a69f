"""What the log says of a fault: where it was raised, never what it says."""


def place_of(error: BaseException) -> str:
    """Module and line where it was raised: the message of a foreign exception may quote the file."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return "?" if place is None else f"{place.tb_frame.f_globals.get('__name__')}:{place.tb_lineno}"
