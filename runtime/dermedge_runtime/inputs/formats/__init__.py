"""One picture format a file: decoded strictly, so that no damaged picture gets an answer."""
